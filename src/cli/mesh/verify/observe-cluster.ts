// SPDX-License-Identifier: Apache-2.0
// What a cluster shows of itself before anything is put into it.
import type { X509Certificate } from 'node:crypto';
import { decodeEndpointSlice } from '../../../api/kubernetes.ts';
import { decodeMeshNetworks } from '../../../api/mesh-networks.ts';
import { isRecord } from '../../../api/shape.ts';
import { readCertificates } from '../../../identity/ca-material.ts';
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { imageTag } from '../../../kube/image-tag.ts';
import { objectName } from '../../../kube/object-name.ts';
import {
  CONFIG_MAPS,
  DEPLOYMENTS,
  ENDPOINT_SLICES,
  MUTATING_WEBHOOKS,
  NODES,
  PODS,
  SECRETS,
  SERVICES,
} from '../../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../../kube/types.ts';
import { describeUnready } from '../../../kube/unready-pod.ts';
import { GIVEN, OWN } from '../../../runtime/cluster/ca-secret.ts';
import { readDistributedRoots } from '../../../runtime/cluster/root-cert-distributor.ts';
import { ISTIO_NAMESPACE, meshType } from '../../../runtime/mesh-resources.ts';
import { inspectGlobalDns } from '../../analyze/global-dns.ts';
import { type InstallationReport, inspectInstallation } from '../../analyze/installation.ts';
import type {
  AuthoritySight,
  CertificateSight,
  ClusterSight,
  EntrySight,
  GatewaySight,
  NamesSight,
  PartSight,
  TlsRule,
} from './evidence.ts';

export const GATEWAY = 'istio-ingressgateway';
/** Where gateways take the mesh's own TLS. */
export const TLS_PORT = 15_443;
const PARTS = ['istiod', 'istio-citadel', 'istio-sidecar-injector', GATEWAY, 'istiocoredns'];
const NETWORK_POLICIES: ResourceType = {
  group: 'networking.k8s.io',
  version: 'v1',
  resource: 'networkpolicies',
  kind: 'NetworkPolicy',
  namespaced: true,
};

export interface Observed {
  readonly sight: Omit<ClusterSight, 'plane' | 'meshName' | 'probe' | 'tokens' | 'late' | 'strangers'>;
  readonly installation: InstallationReport;
  /** Of the mesh's own programs here; undefined: the mesh is not installed. */
  readonly image: string | undefined;
  /** Virtual addresses that ServiceEntries have. */
  readonly taken: ReadonlySet<string>;
  readonly entries: readonly KubeObject[];
}

interface ContainerSpec {
  readonly image?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
}

interface DeploymentFields {
  readonly spec?: {
    readonly replicas?: number;
    readonly selector?: { readonly matchLabels?: Readonly<Record<string, string>> };
    readonly template?: {
      readonly spec?: { readonly containers?: readonly ContainerSpec[] };
    };
  };
  readonly status?: { readonly readyReplicas?: number };
}

/** @throws KubeError, Error when the API server refuses or cannot be reached */
export async function observeCluster(name: string, client: KubeClient): Promise<Observed> {
  const [serverMs, installation, deployments, pods, settings, entries, rules, policies, sidecars, routes] =
    await Promise.all([
      client.clock(),
      inspectInstallation(client),
      listed(client, DEPLOYMENTS, ISTIO_NAMESPACE),
      listed(client, PODS, ISTIO_NAMESPACE),
      client.get(CONFIG_MAPS, 'istio', ISTIO_NAMESPACE),
      listed(client, meshType('ServiceEntry')!),
      listed(client, meshType('DestinationRule')!),
      listed(client, NETWORK_POLICIES, ISTIO_NAMESPACE),
      listed(client, meshType('Sidecar')!, ISTIO_NAMESPACE),
      listed(client, meshType('VirtualService')!),
    ]);
  const [gateway, authority, names, injector, pilotAt] = await Promise.all([
    observeGateway(client),
    observeAuthority(client),
    observeNames(client, deployments),
    observeInjector(client),
    observePilot(client),
  ]);
  const networks = settings && decodeMeshNetworks(settings);
  const plane = deployments.find(({ metadata }) => ['istiod', 'istio-citadel'].includes(metadata.name ?? ''));
  return {
    sight: {
      name,
      role: installation.role,
      aheadMs: serverMs === undefined ? undefined : serverMs - Date.now(),
      remarks: [...installation.remarks, ...(networks?.diagnostics ?? [])],
      parts: PARTS.flatMap((part) => observePart(part, deployments, pods)),
      gateway,
      authority,
      networks: networks?.value,
      ...{ gatewayNetwork: networkOf(deployments), pilotAt, entries: entries.flatMap(entriesOf) },
      names,
      injector,
      sidecars: sidecars.map(({ metadata }) => `Sidecar ${metadata.namespace}/${metadata.name}`),
      wideRoutes: routes.flatMap(wideRoutesOf),
      tlsRules: rules.flatMap(tlsRulesOf),
      policies: policies.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`),
    },
    installation,
    image: (plane as DeploymentFields | undefined)?.spec?.template?.spec?.containers?.[0]?.image,
    taken: new Set(entries.flatMap(addressesOf)),
    entries,
  };
}

/** [] also where the kind is not there, or may not be read: what is missing is told by what it is needed for. */
async function listed(client: KubeClient, type: ResourceType, namespace?: string): Promise<KubeObject[]> {
  try {
    return (await client.list(type, namespace === undefined ? {} : { namespace })).items;
  } catch (error) {
    if (error instanceof KubeError && (error.code === 404 || error.code === 403)) return [];
    throw error;
  }
}

function containersOf(deployment: KubeObject): readonly ContainerSpec[] {
  return (deployment as DeploymentFields).spec?.template?.spec?.containers ?? [];
}

function observePart(name: string, deployments: readonly KubeObject[], pods: readonly KubeObject[]): PartSight[] {
  const found = deployments.find(({ metadata }) => metadata.name === name);
  if (found === undefined) return [];
  const { spec = {}, status = {} } = found as DeploymentFields;
  const labels = Object.entries(spec.selector?.matchLabels ?? {});
  const own = pods.filter(({ metadata }) => labels.every(([key, value]) => metadata.labels?.[key] === value));
  const { wanted, ready } = { wanted: spec.replicas ?? 1, ready: status.readyReplicas ?? 0 };
  const state =
    ready > 0
      ? ''
      : own.length === 0
        ? 'it has no pod'
        : own.map((pod) => `${pod.metadata.name}: ${describeUnready(pod)}`).join('; ');
  return [{ name, version: imageTag(containersOf(found)[0]?.image ?? ''), wanted, ready, state }];
}

interface ServiceFields {
  readonly spec?: {
    readonly type?: string;
    readonly externalIPs?: readonly string[];
    readonly ports?: readonly { readonly name?: string; readonly port: number; readonly nodePort?: number }[];
  };
  readonly status?: { readonly loadBalancer?: { readonly ingress?: readonly { ip?: string; hostname?: string }[] } };
}

async function observeGateway(client: KubeClient): Promise<GatewaySight | undefined> {
  const [service, slices, nodes] = await Promise.all([
    client.get(SERVICES, GATEWAY, ISTIO_NAMESPACE),
    client.list(ENDPOINT_SLICES, {
      namespace: ISTIO_NAMESPACE,
      labelSelector: `kubernetes.io/service-name=${GATEWAY}`,
    }),
    listed(client, NODES),
  ]);
  if (service === undefined) return undefined;
  const { spec = {}, status = {} } = service as ServiceFields;
  const ports = (spec.ports ?? []).map(({ port, nodePort }) => {
    return { number: port, ...(nodePort !== undefined && { nodePort }) };
  });
  const addresses = [
    ...(status.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? []),
    ...(spec.externalIPs ?? []),
  ];
  const name = spec.ports?.find(({ port }) => port === TLS_PORT)?.name;
  return {
    type: spec.type ?? 'ClusterIP',
    ports,
    addresses,
    endpoints: name === undefined ? 0 : slices.items.reduce((sum, slice) => sum + readyBehind(slice, name), 0),
    door: doorOf(ports, addresses, nodes.flatMap(nodeAddresses)),
  };
}

/** A load balancer's address, else a node's with the port of the node. */
function doorOf(
  ports: GatewaySight['ports'],
  addresses: readonly string[],
  nodes: readonly string[],
): GatewaySight['door'] {
  const port = ports.find(({ number }) => number === TLS_PORT);
  if (port === undefined) return undefined;
  if (addresses[0] !== undefined) return { address: addresses[0], port: TLS_PORT };
  if (nodes[0] === undefined || port.nodePort === undefined) return undefined;
  return { address: nodes[0], port: port.nodePort };
}

function readyBehind(slice: KubeObject, portName: string): number {
  const { ports, endpoints } = decodeEndpointSlice(slice);
  return Object.hasOwn(ports, portName) ? endpoints.filter(({ ready }) => ready).length : 0;
}

function nodeAddresses({ status }: KubeObject): string[] {
  const { addresses = [] } = (status ?? {}) as { addresses?: readonly { type: string; address: string }[] };
  const of = (type: string) => addresses.filter((each) => each.type === type).map(({ address }) => address);
  return [...of('ExternalIP'), ...of('InternalIP')].slice(0, 1);
}

/** Certificates alone: what else the Secret holds is not looked at. */
async function observeAuthority(client: KubeClient): Promise<AuthoritySight | undefined> {
  const trusted = (await readDistributedRoots(client)) ?? '';
  for (const secret of [GIVEN, OWN]) {
    let found: KubeObject | undefined;
    try {
      found = await client.get(SECRETS, secret, ISTIO_NAMESPACE);
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 403)) throw error;
    }
    if (found === undefined) continue;
    const data = (found['data'] ?? {}) as Record<string, string>;
    const read = (file: string) => certificatesOf(Buffer.from(data[file] ?? '', 'base64').toString('utf8'));
    return { secret, roots: read('root-cert.pem'), intermediate: read('ca-cert.pem')[0], trusted };
  }
  return trusted === '' ? undefined : { secret: '', roots: certificatesOf(trusted), intermediate: undefined, trusted };
}

/** [] for what holds none: what is wrong with the CA's Secret is told by other means. */
export function certificatesOf(pem: string): CertificateSight[] {
  try {
    return readCertificates('pem', pem).map(describeCertificate);
  } catch {
    return [];
  }
}

function describeCertificate(certificate: X509Certificate): CertificateSight {
  return {
    subject: certificate.subject.replaceAll('\n', ', '),
    fingerprint: certificate.fingerprint256,
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** undefined where names of other clusters are nobody's business: a cluster that another one's control plane rules. */
async function observeNames(client: KubeClient, deployments: readonly KubeObject[]): Promise<NamesSight | undefined> {
  const isInstalled = deployments.some(({ metadata }) => metadata.name === 'istiocoredns');
  const isPlane = deployments.some(({ metadata }) => metadata.name === 'istiod');
  if (!isInstalled && !isPlane) return undefined;
  // Whatever else there is below `.global`, the probes' names are to resolve.
  const probe = { apiVersion: '', kind: 'ServiceEntry', metadata: {}, spec: { hosts: ['probe.global'] } };
  const [fault] = await inspectGlobalDns(client, [probe]);
  return { isInstalled, fault };
}

/** A cluster without a control plane has a Service of its name that leads to the other cluster's gateway. */
async function observePilot(client: KubeClient): Promise<string[]> {
  const [service, slice] = await Promise.all([
    client.get(SERVICES, 'istio-pilot', ISTIO_NAMESPACE),
    client.get(ENDPOINT_SLICES, 'istio-pilot', ISTIO_NAMESPACE),
  ]);
  const { externalName } = (service?.['spec'] ?? {}) as { externalName?: string };
  const addresses = slice === undefined ? [] : decodeEndpointSlice(slice).endpoints.flatMap((each) => each.addresses);
  return externalName === undefined ? addresses : [externalName];
}

async function observeInjector(client: KubeClient): Promise<ClusterSight['injector']> {
  const [found] = (await listed(client, MUTATING_WEBHOOKS)).filter(
    ({ metadata }) => metadata.name === 'istio-sidecar-injector',
  );
  if (found === undefined) return 'missing';
  const webhooks = (found['webhooks'] ?? []) as readonly { clientConfig?: { caBundle?: string } }[];
  return webhooks.some(({ clientConfig }) => (clientConfig?.caBundle ?? '') === '') ? 'no-ca' : 'there';
}

function wideRoutesOf(rule: KubeObject): { object: string; host: string }[] {
  const { hosts = [], gateways = ['mesh'] } = (rule['spec'] ?? {}) as { hosts?: unknown[]; gateways?: unknown[] };
  const host = hosts.find((each): each is string => typeof each === 'string' && /^\*(\.(global|local))?$/.test(each));
  return host === undefined || !gateways.includes('mesh') ? [] : [{ object: objectName(rule), host }];
}

/** That which says anything but the mesh's own TLS of many hosts, or of names of other clusters. */
function tlsRulesOf(rule: KubeObject): TlsRule[] {
  const { host, trafficPolicy } = (rule['spec'] ?? {}) as {
    host?: unknown;
    trafficPolicy?: { tls?: { mode?: unknown }; portLevelSettings?: readonly { tls?: { mode?: unknown } }[] };
  };
  if (typeof host !== 'string') return [];
  const modes = [trafficPolicy?.tls, ...(trafficPolicy?.portLevelSettings ?? []).map(({ tls }) => tls)]
    .map((tls) => tls?.mode)
    .filter((mode): mode is string => typeof mode === 'string' && mode !== 'ISTIO_MUTUAL');
  const isWide = host.startsWith('*') || host.endsWith('.global');
  return isWide ? modes.slice(0, 1).map((mode) => ({ object: objectName(rule), host, mode })) : [];
}

/** By which the gateway knows which pods it leads to. */
function networkOf(deployments: readonly KubeObject[]): string | undefined {
  const gateway = deployments.find(({ metadata }) => metadata.name === GATEWAY);
  const variables = gateway === undefined ? [] : (containersOf(gateway)[0]?.env ?? []);
  return variables.find(({ name }) => name === 'ISTIO_META_NETWORK')?.value || undefined;
}

/** What was derived of exports is the control plane's own business. */
function entriesOf(entry: KubeObject): EntrySight[] {
  const spec = isRecord(entry['spec']) ? entry['spec'] : {};
  const hosts = Array.isArray(spec['hosts']) ? spec['hosts'] : [];
  const host = hosts.find((each): each is string => typeof each === 'string' && each.endsWith('.global'));
  if (host === undefined || entry.metadata.labels?.['app.kubernetes.io/managed-by'] === 'isthmus') return [];
  const endpoints = (Array.isArray(spec['endpoints']) ? spec['endpoints'].filter(isRecord) : [])
    // Those are reached by the egress gateway.
    .filter(({ network }) => network !== 'external')
    .flatMap(({ address, ports }) => {
      const numbers = isRecord(ports) ? Object.values(ports).filter((port) => typeof port === 'number') : [];
      return typeof address === 'string' ? numbers.map((port) => ({ address, port })) : [];
    });
  return [{ object: objectName(entry), host, endpoints }];
}

function addressesOf({ spec }: KubeObject): string[] {
  const addresses = isRecord(spec) ? spec['addresses'] : undefined;
  return Array.isArray(addresses) ? addresses.filter((each) => typeof each === 'string') : [];
}
