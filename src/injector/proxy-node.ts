// SPDX-License-Identifier: Apache-2.0
// What an Envoy says of itself in its first request: what its bootstrap (bootstrap.ts) told it to say.
import { isIP } from 'node:net';
import { type ConfigDelivery, DELIVERY_METADATA, isConfigDelivery } from '../api/config-delivery.ts';
import { PROXY_ENVIRONMENT, type WorkloadFact } from '../xds/proxy-environment.ts';
import { type XdsNode, XdsRefusal } from '../xds/types.ts';

/** What telemetry calls its workload. */
export type NodeFacts = Readonly<Record<Exclude<WorkloadFact, 'namespace'>, string>>;

export interface NodeClaims {
  readonly kind: 'sidecar' | 'gateway';
  readonly ip: string;
  readonly podName: string;
  readonly namespace: string;
  /** `cluster.local` */
  readonly dnsDomain: string;
  /** '' where the node does not say. */
  readonly clusterId: string;
  readonly serviceAccount: string;
  readonly network: string;
  /** Networks that this proxy is to reach, and others are not. */
  readonly requestedNetworks: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** INSTANCE_IPS: all addresses of its pod, as far as it says. */
  readonly instanceIps: readonly string[];
  readonly upstreamMark: number | undefined;
  readonly delivery: ConfigDelivery;
  /** ISTIO_VERSION, else Envoy's own version; '' for what is neither. */
  readonly version: string;
  /** The texts of its metadata. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly facts: NodeFacts;
}

/**
 * Reads `sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN` and the metadata beside it.
 * @throws XdsRefusal INVALID_ARGUMENT naming the part that cannot be read
 */
export function readNode(node: XdsNode): NodeClaims {
  const [role, ip = '', pod = '', domain = '', ...more] = node.id.split('~');
  const kind = role === 'sidecar' ? 'sidecar' : role === 'router' ? 'gateway' : undefined;
  const dot = pod.lastIndexOf('.');
  if (kind === undefined || more.length > 0 || dot < 1 || domain === '') {
    throw invalid(
      `node id "${node.id}" is not of the form sidecar~IP~POD.NAMESPACE~NAMESPACE.svc.DOMAIN (or router~...)`,
    );
  }
  if (isIP(ip) === 0) throw invalid(`node id "${node.id}": "${ip}" is not an IP address`);
  const podName = pod.slice(0, dot);
  const namespace = pod.slice(dot + 1);
  const [, dnsDomain = 'cluster.local'] = /\.svc\.(.+)$/.exec(domain) ?? [];
  const text = (member: string): string => {
    const value = node.metadata[member];
    return typeof value === 'string' ? value : '';
  };
  for (const [member, value] of [
    ['NAMESPACE', namespace],
    ['NAME', podName],
  ] as const) {
    if (text(member) !== '' && text(member) !== value) {
      throw invalid(`node metadata ${member} is "${text(member)}", but the node id says "${value}"`);
    }
  }
  const mark = Number(text('SO_MARK'));
  const delivery = text(DELIVERY_METADATA);
  return {
    kind,
    ip,
    podName,
    namespace,
    dnsDomain,
    clusterId: text('CLUSTER_ID'),
    serviceAccount: text('SERVICE_ACCOUNT'),
    network: text('NETWORK'),
    requestedNetworks: namesOf(text('REQUESTED_NETWORK_VIEW')),
    labels: textsOf(node.metadata['LABELS']),
    instanceIps: namesOf(text('INSTANCE_IPS')).filter((each) => isIP(each) !== 0),
    upstreamMark: Number.isInteger(mark) && mark > 0 ? mark : undefined,
    delivery: kind === 'sidecar' && isConfigDelivery(delivery) && isAbleToFetch(node) ? delivery : 'FULL',
    version: (text('ISTIO_VERSION') || node.userAgentVersion).slice(0, MAX_VERSION),
    metadata: textsOf(node.metadata),
    facts: factsOf((fact) => text(PROXY_ENVIRONMENT[fact])),
  };
}

/** EnvoyFilters look for their expressions in it, and a proxy may say what it likes. */
const MAX_VERSION = 64;

/** Older ones crash or hang where a request waits for configuration. '' is no Envoy, and knows what it asks for. */
const FETCHING_SINCE = [1, 40];

function isAbleToFetch({ userAgentVersion }: XdsNode): boolean {
  if (userAgentVersion === '') return true;
  const [major = 0, minor = 0] = userAgentVersion.split('.').map(Number);
  const [sinceMajor = 0, sinceMinor = 0] = FETCHING_SINCE;
  return major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
}

function factsOf(said: (fact: WorkloadFact) => string): NodeFacts {
  const of = (fact: WorkloadFact) => said(fact) || 'unknown';
  return {
    workload: of('workload'),
    service: of('service'),
    revision: of('revision'),
    app: of('app'),
    version: of('version'),
    cluster: of('cluster'),
  };
}

/** `external, other` */
function namesOf(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  return [...new Set(names)].filter((name) => name !== '').sort();
}

function textsOf(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function invalid(message: string): XdsRefusal {
  return new XdsRefusal('INVALID_ARGUMENT', message);
}
