// SPDX-License-Identifier: Apache-2.0
// What a cluster tells the others of one service: its ports, how many pods are ready and where, its versions, and by which
// gateways it is reached. Pure: the same objects make the same bytes.
import { EXPORT_ANNOTATION, subsetOfVersion } from '../api/export-names.ts';
import type { ExportedPort, ExportedServiceSpec, ExportedSubset, LocalityShare } from '../api/exported-service.ts';
import { decodeService, type KubeServicePort, selects } from '../api/kubernetes.ts';
import { parseTraffic, TRAFFIC_ANNOTATION } from '../api/traffic-shares.ts';
import type { KubeObject } from '../kube/types.ts';
import type { Condition, Digest, DigestInput, ExportClaim, Labels, OwnSubset, ReadyEndpoint } from './types.ts';

export function digestService(input: DigestInput): Digest {
  const { claims } = input;
  if (claims.length === 0) return { spec: undefined, conditions: [] };
  const fault = faultOf(input);
  if (fault !== undefined) {
    // A policy means the services that can be exported; who names one means that one.
    const isNamed = claims.some(({ kind }) => kind !== 'ExportPolicy');
    return { spec: undefined, conditions: isNamed ? [fault] : [] };
  }
  const { traffic, told } = trafficOf(input);
  const { type, ports } = portsOf(input.service!, input.cluster);
  const { gateways } = input;
  const endpoints = input.endpoints.filter(({ meshed }) => meshed);
  const spec: ExportedServiceSpec = {
    cluster: input.cluster,
    exportedAt: exportedSince(input),
    type,
    ports,
    ready: endpoints.length,
    localities: localitiesOf(endpoints),
    subsets: subsetsOf(input, endpoints),
    gateways: [...gateways].sort((a, b) => compare(`${a.address} ${a.port}`, `${b.address} ${b.port}`)),
    subjectAltNames: [...new Set(input.pods.map(({ identity }) => identity))].sort(compare),
    traffic,
  };
  return { spec, conditions: [told, readyCondition(spec, input.endpoints.length - endpoints.length)] };
}

/** Why the service cannot be exported, with the cure. */
function faultOf({ service, claims, namespace, name, cluster }: DigestInput): Condition | undefined {
  const invalid = (reason: string, message: string): Condition => ({
    type: 'Valid',
    status: 'False',
    reason,
    message: `${message} (exported by ${describeClaims(claims)})`,
  });
  if (service?.metadata.annotations?.[EXPORT_ANNOTATION] === 'false') {
    return invalid(
      'KeptHome',
      `Service ${namespace}/${name} has the annotation ${EXPORT_ANNOTATION}: "false": remove it`,
    );
  }
  if (service === undefined) {
    return invalid('NoService', `${cluster} has no Service ${namespace}/${name}: create it, or delete what exports it`);
  }
  if (isClusterLocal(namespace, name)) {
    const message = `${namespace}/${name} is part of every cluster's own machinery and means another one in each: it is not exported`;
    return invalid('ClusterLocal', message);
  }
  if (decodeService(service, cluster).externalName !== undefined) {
    const message = `Service ${namespace}/${name} is of type ExternalName, which is a name and has no pods: export the service behind it`;
    return invalid('InvalidServiceType', message);
  }
  const { ports } = portsOf(service, cluster);
  if (ports.length > 0) return undefined;
  const message = `Service ${namespace}/${name} has no TCP port, and gateways pass nothing else on: give it one`;
  return invalid('NoPorts', message);
}

/** Of the same name in every cluster, and never the same service. */
export function isClusterLocal(namespace: string, name: string): boolean {
  return /^kube-(system|public|node-lease)$/.test(namespace) || (namespace === 'default' && name === 'kubernetes');
}

function describeClaims(claims: readonly ExportClaim[]): string {
  const each = claims.map(({ kind, ref }) => {
    if (kind === 'annotation') return 'its annotation isthmus.io/export';
    return ref.namespace === '' ? `${kind} ${ref.name}` : `${kind} ${ref.namespace}/${ref.name}`;
  });
  return [...new Set(each)].sort().join(', ');
}

function portsOf(service: KubeObject, cluster: string): Pick<ExportedServiceSpec, 'type' | 'ports'> {
  const { headless, ports } = decodeService(service, cluster);
  const spoken = ports.filter(({ protocol }) => protocol !== 'udp').sort((a, b) => a.number - b.number);
  return { type: headless ? 'Headless' : 'ClusterSetIP', ports: spoken.map(portOf) };
}

const PROTOCOLS: Readonly<Record<KubeServicePort['protocol'], ExportedPort['protocol']>> = {
  http: 'HTTP',
  http2: 'HTTP2',
  tcp: 'TCP',
  tls: 'TLS',
  auto: undefined,
  udp: undefined,
};

function portOf({ name, number, protocol }: KubeServicePort): ExportedPort {
  return { name: name || `port-${number}`, port: number, protocol: PROTOCOLS[protocol] };
}

/** Since when it is exported. What nothing tells the time of is exported since it was seen first. */
function exportedSince({ claims, before, nowMs }: DigestInput): string {
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const times = claims.map(({ since }) => since ?? before?.exportedAt ?? now);
  return times.reduce((oldest, time) => (Date.parse(time) < Date.parse(oldest) ? time : oldest));
}

function trafficOf({ service, claims, namespace, name }: DigestInput): {
  traffic: string | undefined;
  told: Condition;
} {
  const valid: Condition = {
    type: 'Valid',
    status: 'True',
    reason: 'Valid',
    message: `exported by ${describeClaims(claims)}`,
  };
  const said =
    claims.find((claim) => claim.traffic !== undefined)?.traffic ?? service?.metadata.annotations?.[TRAFFIC_ANNOTATION];
  if (said === undefined) return { traffic: undefined, told: valid };
  const parsed = parseTraffic(said);
  if (parsed.ok) return { traffic: said.trim(), told: valid };
  const message = `annotation ${TRAFFIC_ANNOTATION} of ${namespace}/${name}: ${parsed.fault}: ${parsed.cure}; it is exported without`;
  return { traffic: undefined, told: { ...valid, status: 'False', reason: 'InvalidTraffic', message } };
}

function readyCondition({ gateways, ready, cluster }: ExportedServiceSpec, plain: number): Condition {
  if (gateways.length === 0) {
    const message =
      `no gateway of ${cluster} leads to it: Service istio-system/istio-ingressgateway needs an address, the port 15443 and ` +
      'a ready pod';
    return { type: 'Ready', status: 'False', reason: 'Pending', message };
  }
  if (ready === 0 && plain > 0) {
    const message = `its pods have no sidecar, and gateways lead to nothing else: label the namespace istio-injection=enabled and restart them`;
    return { type: 'Ready', status: 'False', reason: 'NoSidecar', message };
  }
  // No number: it is in the spec, and here each pod that comes and goes would be one more write.
  const message =
    ready === 0 ? 'the other clusters know of it; none of its pods is ready' : 'the other clusters know of it';
  return { type: 'Ready', status: 'True', reason: 'Exported', message };
}

/** The subsets of the own cluster's rules, and one for each version that no such subset has in its name or labels. */
function subsetsOf({ pods, subsets }: DigestInput, endpoints: readonly ReadyEndpoint[]): ExportedSubset[] {
  const named = new Map<string, OwnSubset>();
  for (const subset of subsets) if (!named.has(subset.name)) named.set(subset.name, subset);
  for (const labels of versionsOf([...pods, ...endpoints])) {
    const name = subsetOfVersion(Object.values(labels)[0]!);
    const isThere = subsets.some((subset) => isSame(subset.labels, labels));
    if (name !== '' && name.length <= 63 && !isThere && !named.has(name)) named.set(name, { name, labels });
  }
  return [...named.values()]
    .sort((a, b) => compare(a.name, b.name))
    .map(({ name, labels }) => {
      const members = endpoints.filter((endpoint) => selects(labels, endpoint.labels));
      return { name, labels, ready: members.length, localities: localitiesOf(members) };
    });
}

const VERSION_LABELS = ['version', 'app.kubernetes.io/version'];

function versionsOf(all: readonly { readonly labels: Labels }[]): Labels[] {
  const found = new Map<string, Labels>();
  for (const { labels } of all) {
    const label = VERSION_LABELS.find((each) => labels[each]);
    if (label !== undefined) found.set(`${label}=${labels[label]}`, { [label]: labels[label]! });
  }
  // One whose version is told by another label comes second where both have one name.
  return [...found]
    .sort(([a], [b]) => compare(b.split('=')[0]!, a.split('=')[0]!) || compare(a, b))
    .map(([, labels]) => labels);
}

function localitiesOf(endpoints: readonly ReadyEndpoint[]): LocalityShare[] {
  const counts = new Map<string, number>();
  for (const { locality } of endpoints) counts.set(locality, (counts.get(locality) ?? 0) + 1);
  return [...counts].sort(([a], [b]) => compare(a, b)).map(([locality, ready]) => ({ locality, ready }));
}

function isSame(a: Labels, b: Labels): boolean {
  return selects(a, b) && selects(b, a);
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
