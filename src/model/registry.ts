// SPDX-License-Identifier: Apache-2.0
// Kubernetes services of every cluster and ServiceEntries, as one kind of service. The only place where clusters merge:
// services of one name and namespace in several clusters are one service.
import { CROSS_CLUSTER_PORT } from '../api/gateway.ts';
import type { KubeEndpointSlice, KubeService, Workload } from '../api/kubernetes.ts';
import { type ClusterName, clusterName, type Hostname, hostname, spiffeId } from '../api/names.ts';
import type { ServiceEntry, ServiceEntryEndpoint, ServiceEntrySpec } from '../api/service-entry.ts';
import { isSocket } from '../api/workload-entry.ts';
import { ANY_NETWORK, type NetworkMembers, networkOf } from './networks.ts';
import { hasSidecar, isDialled, type SelectableWorkload } from './selected-workloads.ts';
import type { ClusterService, Endpoint, EndpointSet, MeshService, MeshSettings, ServiceKey } from './snapshot.ts';

function serviceKey(namespace: string, host: string): ServiceKey {
  return `${namespace}/${host}`;
}

function kubeHostname(name: string, namespace: string, dnsDomain: string): Hostname {
  return hostname(`${name}.${namespace}.svc.${dnsDomain}`);
}

/** One service from its copies in the clusters, the oldest copy saying what they should agree on; `exportTo` is for those that say none. */
export function mergeKubeServices(
  copies: ReadonlyMap<ClusterName, KubeService>,
  settings: MeshSettings,
  exportTo: readonly string[],
): MeshService {
  const sorted = [...copies].sort(([a, x], [b, y]) => x.createdAtMs - y.createdAtMs || (a < b ? -1 : 1));
  const [, first] = sorted[0]!;
  const { name, namespace } = first.ref;
  const host = kubeHostname(name, namespace, settings.dnsDomain);
  const clusters: Record<ClusterName, ClusterService> = {};
  for (const [cluster, copy] of [...copies].sort(([a], [b]) => (a < b ? -1 : 1))) {
    clusters[cluster] = { addresses: copy.clusterIps, selector: copy.selector, ports: copy.ports };
  }
  return {
    key: serviceKey(namespace, host),
    hostname: host,
    namespace,
    origin: first.ref,
    createdAtMs: first.createdAtMs,
    registry: 'kubernetes',
    meshInternal: first.externalName === undefined,
    resolution: first.externalName !== undefined ? 'dns' : first.headless ? 'none' : 'endpoints',
    ports: first.ports,
    addresses: [],
    allocated: undefined,
    clusters,
    sessionAffinity: first.sessionAffinity,
    trafficDistribution: first.trafficDistribution,
    nodeLocal: first.nodeLocal,
    exportTo: first.exportTo.length === 0 ? exportTo : first.exportTo,
    aliasOf: first.externalName === undefined ? undefined : hostname(first.externalName),
    fallback: first.fallback,
    traffic: undefined,
    selecting: false,
    namesWorkloads: false,
    dnsEndpoints: first.externalName === undefined ? [] : [externalEndpoint(first, first.externalName)],
    subjectAltNames: [],
    networks: [],
  };
}

function externalEndpoint(service: KubeService, address: string): Endpoint {
  const ports = Object.fromEntries(service.ports.map((p) => [p.name, p.number]));
  const cluster = clusterName(service.ref.cluster ?? '');
  const unknown = { labels: {}, locality: '', nodeName: '', identity: undefined, meshed: false, draining: false };
  return { ...unknown, network: ANY_NETWORK, address, ports, cluster, weight: 1 };
}

/** One service for each host of the entry. `selected`: the workloads that its workloadSelector finds. */
export function servicesOfEntry(entry: ServiceEntry, selected: readonly SelectableWorkload[] = []): MeshService[] {
  const { spec, ref } = entry;
  if (spec.traffic !== undefined) return servicesOfClusters(entry);
  const workloads = workloadsOfEntry(entry, selected);
  const likeness = likenessOf(spec);
  return spec.hosts.map((host) => ({
    key: `${serviceKey(ref.namespace, host)}/${ref.name}`,
    hostname: host,
    namespace: ref.namespace,
    origin: ref,
    createdAtMs: entry.createdAtMs,
    registry: 'service-entry',
    meshInternal: spec.location === 'MESH_INTERNAL',
    resolution: resolutionOf(spec, workloads),
    ports: spec.ports.map(({ name, number, protocol, targetPort = number }) => ({
      name,
      number,
      protocol,
      targetPort,
    })),
    addresses: spec.addresses.map(withoutFullMask),
    allocated: host.startsWith('*') ? undefined : spec.allocated && (spec.allocated[host] ?? []),
    clusters: {},
    sessionAffinity: 'none',
    trafficDistribution: spec.trafficDistribution,
    nodeLocal: false,
    exportTo: spec.exportTo,
    dnsEndpoints: resolvesByDns(spec, workloads) ? dnsEndpoints(entry, host, workloads) : [],
    aliasOf: undefined,
    fallback: false,
    traffic: undefined,
    selecting: spec.workloadSelector !== undefined,
    namesWorkloads: namesWorkloads(spec),
    likeness,
    subjectAltNames: spec.subjectAltNames,
    networks: networksOf(workloads),
  }));
}

function likenessOf({ resolution, location, exportTo, workloadSelector }: ServiceEntrySpec): string {
  const labels = workloadSelector && Object.entries(workloadSelector.labels).sort();
  return JSON.stringify([resolution, location, [...exportTo].sort(), labels]);
}

/** A service of several clusters: its first host, and the others as other names of that. See ClusterEndpoints. */
function servicesOfClusters(entry: ServiceEntry): MeshService[] {
  const { traffic, ...spec } = entry.spec;
  const made = servicesOfEntry({
    ...entry,
    spec: { ...spec, traffic: undefined, endpoints: [], resolution: 'STATIC' },
  });
  const [main] = made;
  return made.map(({ likeness: _, ...service }, i) => ({
    ...service,
    traffic,
    aliasOf: i === 0 ? undefined : main!.hostname,
  }));
}

/** A gateway has no identity of its own towards clients: the TLS that it passes on ends at any of the pods behind it. */
function namesWorkloads({ endpoints, ports }: ServiceEntrySpec): boolean {
  const targets = ports.map(({ name, number, targetPort = number }) => ({ name, targetPort }));
  return (
    endpoints.length > 0 &&
    endpoints.every(
      (endpoint) =>
        endpoint.serviceAccount !== undefined &&
        !endpoint.network &&
        targets.every(({ name, targetPort }) => (endpoint.ports[name] ?? targetPort) !== CROSS_CLUSTER_PORT),
    )
  );
}

/** Those that somebody named. */
function networksOf(workloads: readonly SelectableWorkload[]): string[] {
  return [
    ...new Set(workloads.flatMap(({ network = ANY_NETWORK }) => (network === ANY_NETWORK ? [] : [network]))),
  ].sort();
}

function withoutFullMask(address: string): string {
  return address.replace(address.includes(':') ? /\/128$/ : /\/32$/, '');
}

/** Its own endpoints, or those that it selects: with resolution STATIC only those that need no look-up. */
function workloadsOfEntry({ spec, ref }: ServiceEntry, selected: readonly SelectableWorkload[]): SelectableWorkload[] {
  if (spec.resolution === 'NONE' || spec.resolution === 'DYNAMIC_DNS') return [];
  if (spec.workloadSelector === undefined) return spec.endpoints.map((e) => workloadOfEndpoint(e, ref.cluster));
  return selected.filter((w) => spec.resolution.startsWith('DNS') || isDialled(w));
}

function workloadOfEndpoint(raw: ServiceEntryEndpoint, cluster: string | undefined): SelectableWorkload {
  return {
    address: raw.address,
    ports: raw.ports,
    labels: raw.labels,
    cluster: clusterName(cluster ?? ''),
    network: raw.network || ANY_NETWORK,
    locality: raw.locality ?? '',
    // In Istio's API a weight of 0 is one that nobody gave; Envoy would refuse it.
    weight: raw.weight || 1,
    serviceAccount: raw.serviceAccount,
    meshed: hasSidecar(raw.labels, raw.serviceAccount),
  };
}

/** Endpoints by IP need no look-up, whatever the entry says: they work at once, and can change without a new cluster. */
function resolvesByDns(spec: ServiceEntrySpec, workloads: readonly SelectableWorkload[]): boolean {
  const byIp = workloads.length > 0 && workloads.every(isDialled);
  return spec.resolution.startsWith('DNS') && !byIp;
}

function resolutionOf(spec: ServiceEntrySpec, workloads: readonly SelectableWorkload[]): MeshService['resolution'] {
  if (spec.resolution === 'NONE') return 'none';
  if (spec.resolution === 'DYNAMIC_DNS') return 'by-name';
  if (!resolvesByDns(spec, workloads)) return 'endpoints';
  return spec.resolution === 'DNS' ? 'dns' : 'dns-round-robin';
}

function dnsEndpoints(entry: ServiceEntry, host: Hostname, workloads: readonly SelectableWorkload[]): Endpoint[] {
  const { spec, ref } = entry;
  const itself = { address: host, ports: {}, labels: {}, network: undefined, locality: undefined };
  const alone = workloadOfEndpoint({ ...itself, weight: undefined, serviceAccount: undefined }, ref.cluster);
  const all = workloads.length > 0 || spec.workloadSelector !== undefined ? workloads : [alone];
  return all.map((workload) => endpointOf(workload, portsOfEntry(spec, workload), ref.namespace));
}

/** By the name of a service's port: the port that the workload itself names so, else the service's own target. */
function portsOfEntry(spec: ServiceEntrySpec, { ports }: SelectableWorkload): Record<string, number> {
  return Object.fromEntries(spec.ports.map((p) => [p.name, ports[p.name] ?? p.targetPort ?? p.number]));
}

function endpointOf(
  workload: SelectableWorkload,
  ports: Readonly<Record<string, number>>,
  namespace: string,
  settings?: EndpointSettings,
): Endpoint {
  const { address, labels, cluster, network, locality, weight, serviceAccount, meshed } = workload;
  const found = settings && networkOf(settings.members, { cluster, ip: address, labels });
  return {
    address,
    ports,
    labels,
    cluster,
    network: isSocket(address) ? ANY_NETWORK : (network ?? found ?? ANY_NETWORK),
    locality,
    nodeName: workload.nodeName ?? '',
    weight,
    identity:
      serviceAccount === undefined ? undefined : spiffeId(settings?.trustDomain ?? '', namespace, serviceAccount),
    meshed,
    draining: false,
  };
}

export function endpointsOfEntry(
  entry: ServiceEntry,
  settings: EndpointSettings,
  selected: readonly SelectableWorkload[] = [],
): EndpointSet {
  const { spec, ref } = entry;
  const workloads = workloadsOfEntry(entry, selected);
  if (spec.resolution === 'NONE' || resolvesByDns(spec, workloads)) return [];
  return sortEndpoints(
    workloads.map((workload) => endpointOf(workload, portsOfEntry(spec, workload), ref.namespace, settings)),
  );
}

/** Workloads that are no pods, as endpoints of a Kubernetes service that selects them. */
export function endpointsOfWorkloads(
  service: Pick<KubeService, 'ports' | 'ref'>,
  workloads: readonly SelectableWorkload[],
  settings: EndpointSettings,
): Endpoint[] {
  return workloads.filter(isDialled).map((workload) => {
    const ports = service.ports.flatMap(({ name, number, targetPort }) => {
      const named = typeof targetPort === 'string' ? workload.ports[targetPort] : undefined;
      const target = workload.ports[name] ?? named ?? (typeof targetPort === 'number' ? targetPort : number);
      return [[name, target] as const];
    });
    return endpointOf(workload, Object.fromEntries(ports), service.ref.namespace, settings);
  });
}

/** What endpoints are given beside what their slices and pods say. */
export interface EndpointSettings {
  readonly trustDomain: string;
  readonly members: NetworkMembers;
}

/** Endpoints that can answer, of a Kubernetes service in one cluster; labels and identity come from the pods behind them. */
export function endpointsOfSlices(
  cluster: ClusterName,
  slices: Iterable<KubeEndpointSlice>,
  podOf: (namespace: string, name: string) => Workload | undefined,
  { trustDomain, members }: EndpointSettings,
): Endpoint[] {
  const found = new Map<string, Endpoint>();
  const pods = new Map<string, Workload>();
  for (const slice of slices) {
    for (const endpoint of slice.endpoints) {
      if (!endpoint.ready && !endpoint.draining) continue;
      const pod = endpoint.podName === undefined ? undefined : podOf(slice.namespace, endpoint.podName);
      for (const address of endpoint.addresses) {
        if (pod !== undefined) pods.set(address, pod);
        found.set(address, {
          address,
          // A service with more ports than a slice may have comes in several slices.
          ports: { ...found.get(address)?.ports, ...slice.ports },
          labels: pod?.labels ?? {},
          cluster,
          network: networkOf(members, { cluster, ip: address, labels: pod?.labels ?? {} }),
          locality: pod?.locality || zoneLocality(endpoint.zone),
          nodeName: pod?.nodeName || endpoint.nodeName,
          weight: 1,
          identity: pod === undefined ? undefined : spiffeId(trustDomain, slice.namespace, pod.serviceAccount),
          meshed: pod?.meshed ?? false,
          draining: endpoint.draining,
          ...(pod && { workload: pod.facts }),
        });
      }
    }
  }
  return joinFamilies([...found.values()], pods);
}

/**
 * A pod of two IP families is in slices of both, and is one endpoint all the same: at the address that its cluster prefers,
 * with the other one for when there is no way to that. Told apart, half of the requests would go where there may be no way.
 */
function joinFamilies(endpoints: readonly Endpoint[], pods: ReadonlyMap<string, Workload>): Endpoint[] {
  const groups = Map.groupBy(endpoints, (endpoint) => pods.get(endpoint.address) ?? endpoint);
  return [...groups].flatMap(([owner, members]) => {
    const [first] = members;
    if (members.length === 1 || !('ip' in owner)) return members;
    const primary = members.find(({ address }) => address === owner.ip) ?? first!;
    const alternatives = members.filter((each) => each !== primary).map(({ address }) => address);
    return [{ ...primary, alternatives: alternatives.sort() }];
  });
}

/** A slice says the zone alone; of what is in no node's hands, files may say more. */
function zoneLocality(zone: string): string {
  return zone === '' || zone.includes('/') ? zone : `/${zone}`;
}

export function sortEndpoints(endpoints: readonly Endpoint[]): EndpointSet {
  const key = (e: Endpoint) => `${e.cluster}\0${e.address}\0${Object.values(e.ports).join()}`;
  return endpoints.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
