// SPDX-License-Identifier: Apache-2.0
// Kubernetes services of every cluster and ServiceEntries, as one kind of service. The only place where clusters merge:
// services of one name and namespace in several clusters are one service.
import { isIP } from 'node:net';
import type { KubeEndpointSlice, KubeService, Workload } from '../api/kubernetes.ts';
import { type ClusterName, clusterName, type Hostname, hostname, spiffeId } from '../api/names.ts';
import type { ServiceEntry, ServiceEntryEndpoint, ServiceEntrySpec } from '../api/service-entry.ts';
import { ANY_NETWORK, type NetworkMembers, networkOf } from './networks.ts';
import type { ClusterService, Endpoint, EndpointSet, MeshService, MeshSettings, ServiceKey } from './snapshot.ts';

function serviceKey(namespace: string, host: string): ServiceKey {
  return `${namespace}/${host}`;
}

function kubeHostname(name: string, namespace: string, dnsDomain: string): Hostname {
  return hostname(`${name}.${namespace}.svc.${dnsDomain}`);
}

/** One service from its copies in the clusters, the oldest copy saying what they should agree on. */
export function mergeKubeServices(copies: ReadonlyMap<ClusterName, KubeService>, settings: MeshSettings): MeshService {
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
    clusters,
    exportTo: first.exportTo,
    dnsEndpoints: first.externalName === undefined ? [] : [externalEndpoint(first, first.externalName)],
    subjectAltNames: [],
    networks: [],
  };
}

function externalEndpoint(service: KubeService, address: string): Endpoint {
  const ports = Object.fromEntries(service.ports.map((p) => [p.name, p.number]));
  const cluster = clusterName(service.ref.cluster ?? '');
  const unknown = { labels: {}, locality: '', identity: undefined, meshed: false, draining: false };
  return { ...unknown, network: ANY_NETWORK, address, ports, cluster, weight: 1 };
}

/** One service for each host of the entry. */
export function servicesOfEntry(entry: ServiceEntry): MeshService[] {
  const { spec, ref } = entry;
  return spec.hosts.map((host) => ({
    key: `${serviceKey(ref.namespace, host)}/${ref.name}`,
    hostname: host,
    namespace: ref.namespace,
    origin: ref,
    createdAtMs: entry.createdAtMs,
    registry: 'service-entry',
    meshInternal: spec.location === 'MESH_INTERNAL',
    resolution: resolutionOf(spec),
    ports: spec.ports.map(({ name, number, protocol }) => ({ name, number, protocol, targetPort: number })),
    addresses: spec.addresses,
    clusters: {},
    exportTo: spec.exportTo,
    dnsEndpoints: resolvesByDns(spec) ? dnsEndpoints(entry, host) : [],
    subjectAltNames: spec.subjectAltNames,
    networks: [...new Set(spec.endpoints.flatMap((e) => e.network ?? []))].sort(),
  }));
}

/** Endpoints by IP need no look-up, whatever the entry says: they work at once, and can change without a new cluster. */
function resolvesByDns(spec: ServiceEntrySpec): boolean {
  const byIp = spec.endpoints.length > 0 && spec.endpoints.every((e) => isIP(e.address) !== 0);
  return spec.resolution.startsWith('DNS') && !byIp;
}

function resolutionOf(spec: ServiceEntrySpec): MeshService['resolution'] {
  if (spec.resolution === 'NONE') return 'none';
  if (!resolvesByDns(spec)) return 'endpoints';
  return spec.resolution === 'DNS' ? 'dns' : 'dns-round-robin';
}

function dnsEndpoints(entry: ServiceEntry, host: Hostname): Endpoint[] {
  if (entry.spec.endpoints.length > 0) return entry.spec.endpoints.map((e) => endpointOfEntry(entry, e));
  return [endpointOfEntry(entry, { address: host, ports: {}, labels: {} })];
}

type EntryEndpoint = Pick<ServiceEntryEndpoint, 'address' | 'ports' | 'labels'> & Partial<ServiceEntryEndpoint>;

function endpointOfEntry(entry: ServiceEntry, raw: EntryEndpoint, trustDomain = ''): Endpoint {
  const account = raw.serviceAccount;
  const target = (p: ServiceEntrySpec['ports'][number]) => raw.ports[p.name] ?? p.targetPort ?? p.number;
  return {
    address: raw.address,
    ports: Object.fromEntries(entry.spec.ports.map((p) => [p.name, target(p)])),
    labels: raw.labels,
    cluster: clusterName(entry.ref.cluster ?? ''),
    network: raw.network ?? ANY_NETWORK,
    locality: raw.locality ?? '',
    // In Istio's API a weight of 0 is one that nobody gave; Envoy would refuse it.
    weight: raw.weight || 1,
    identity: account === undefined ? undefined : spiffeId(trustDomain, entry.ref.namespace, account),
    meshed: raw.labels['security.istio.io/tlsMode'] === 'istio' || account !== undefined,
    draining: false,
  };
}

export function endpointsOfEntry(entry: ServiceEntry, trustDomain: string): EndpointSet {
  if (entry.spec.resolution === 'NONE' || resolvesByDns(entry.spec)) return [];
  return sortEndpoints(entry.spec.endpoints.map((e) => endpointOfEntry(entry, e, trustDomain)));
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
  for (const slice of slices) {
    for (const endpoint of slice.endpoints) {
      if (!endpoint.ready && !endpoint.draining) continue;
      const pod = endpoint.podName === undefined ? undefined : podOf(slice.namespace, endpoint.podName);
      for (const address of endpoint.addresses) {
        found.set(address, {
          address,
          // A service with more ports than a slice may have comes in several slices.
          ports: { ...found.get(address)?.ports, ...slice.ports },
          labels: pod?.labels ?? {},
          cluster,
          network: networkOf(members, { cluster, ip: address, labels: pod?.labels ?? {} }),
          locality: endpoint.zone,
          weight: 1,
          identity: pod === undefined ? undefined : spiffeId(trustDomain, slice.namespace, pod.serviceAccount),
          meshed: pod?.meshed ?? false,
          draining: endpoint.draining,
          ...(pod && { workload: pod.facts }),
        });
      }
    }
  }
  return [...found.values()];
}

export function sortEndpoints(endpoints: readonly Endpoint[]): EndpointSet {
  const key = (e: Endpoint) => `${e.cluster}\0${e.address}\0${Object.values(e.ports).join()}`;
  return endpoints.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
}
