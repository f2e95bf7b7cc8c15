// SPDX-License-Identifier: Apache-2.0
// Random meshes of several networks: clusters, blocks of addresses and pods that say where they are, gateways by address,
// name and Service, some of them not known yet, localities, pods without sidecars, and pods on their way out.
import fc from 'fast-check';
import type { KubeObject } from '../../src/kube/types.ts';

export const OWN_CLUSTER = 'cluster1';
const CLUSTERS = [OWN_CLUSTER, 'two', 'three'] as const;
const LOCALITIES = ['', 'eu/a', 'eu/b', 'us/c'] as const;
const NETWORKS = ['net1', 'net2', 'net3'] as const;
export const SERVICE_HOST = 'cart.shop.svc.cluster.local';
export const ENTRY_HOST = 'entry.shop.global';

interface Gateway {
  readonly address: string;
  readonly port: number;
  readonly locality: string;
}

export interface NetworkSpec {
  readonly gateways: readonly Gateway[];
}

export interface PodSpec {
  readonly cluster: string;
  readonly ip: string;
  /** The pod's label; '' for none. */
  readonly label: string;
  readonly meshed: boolean;
  readonly state: 'ready' | 'draining' | 'unready';
  readonly zone: string;
  readonly version: 'v1' | 'v2';
}

export interface EntryEndpoint {
  readonly address: string;
  readonly network: string | undefined;
  readonly weight: number;
  readonly meshed: boolean;
  readonly locality: string;
}

export interface NetworkMesh {
  readonly networks: Readonly<Record<string, NetworkSpec>>;
  /** Cluster -> network. */
  readonly registries: Readonly<Record<string, string>>;
  /** The third byte of `10.9.N.0/24` -> network. */
  readonly blocks: Readonly<Record<number, string>>;
  readonly leaveOut: boolean;
  readonly pods: readonly PodSpec[];
  readonly entry: readonly EntryEndpoint[];
  /** The entry's endpoints are names, which Envoy looks up itself. */
  readonly byName: boolean;
}

/** Names that stand for addresses: `gw-198.51.100.7.example`. */
const gatewayAddress = (network: number) =>
  fc
    .tuple(fc.integer({ min: 1, max: 6 }), fc.constantFrom('ip', 'name', 'unknown-name', 'placeholder'))
    .map(([n, kind]) => {
      const ip = `198.51.100.${network * 10 + n}`;
      return kind === 'ip'
        ? ip
        : kind === 'name'
          ? `gw-${ip}.example`
          : kind === 'placeholder'
            ? '0.0.0.0'
            : 'lost.example';
    });

const network = (n: number): fc.Arbitrary<NetworkSpec> =>
  fc.record({
    gateways: fc.uniqueArray(
      fc.record({
        address: gatewayAddress(n),
        port: fc.constantFrom(443, 15443),
        locality: fc.constantFrom('', 'eu', 'eu/a', 'us'),
      }),
      { maxLength: 4, selector: (g) => `${g.address.replace(/^gw-|\.example$/g, '')}:${g.port}` },
    ),
  });

const pod: fc.Arbitrary<PodSpec> = fc.record({
  cluster: fc.constantFrom(...CLUSTERS),
  ip: fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 200 })).map(([block, n]) => `10.9.${block}.${n}`),
  label: fc.constantFrom('', '', '', 'net1', 'lonely'),
  meshed: fc.constantFrom(true, true, true, false),
  state: fc.constantFrom('ready', 'ready', 'ready', 'draining', 'unready'),
  zone: fc.constantFrom(...LOCALITIES),
  version: fc.constantFrom('v1', 'v2'),
});

const entryEndpoint: fc.Arbitrary<EntryEndpoint> = fc.record({
  address: fc.integer({ min: 1, max: 200 }).map((n) => `192.0.2.${n}`),
  network: fc.constantFrom(undefined, 'external', ...NETWORKS),
  weight: fc.constantFrom(1, 1, 2, 7, 4_000_000_000),
  meshed: fc.boolean(),
  locality: fc.constantFrom(...LOCALITIES),
});

export const arbitraryNetworks: fc.Arbitrary<NetworkMesh> = fc.record({
  networks: fc.record({ net1: network(1), net2: network(2), net3: network(3) }),
  registries: fc.dictionary(fc.constantFrom(...CLUSTERS), fc.constantFrom(...NETWORKS)),
  blocks: fc.dictionary(fc.constantFrom('0', '1'), fc.constantFrom(...NETWORKS)),
  leaveOut: fc.boolean(),
  pods: fc.uniqueArray(pod, { maxLength: 12, selector: (p) => p.ip }),
  entry: fc.uniqueArray(entryEndpoint, { maxLength: 5, selector: (e) => e.address }),
  byName: fc.boolean(),
});

export interface ClusterObject {
  readonly cluster: string;
  readonly object: KubeObject;
}

/** What the DNS of the random mesh knows. */
export function answersOf({ networks }: Pick<NetworkMesh, 'networks'>): Map<string, readonly string[]> {
  const names = Object.values(networks).flatMap(({ gateways }) => gateways.map((g) => g.address));
  return new Map(
    names.flatMap((name) => {
      const [, ip] = /^gw-(.*)\.example$/.exec(name) ?? [];
      return ip === undefined ? [] : [[name, [ip]] as const];
    }),
  );
}

export function objectsOf(mesh: NetworkMesh): ClusterObject[] {
  const services = CLUSTERS.map((cluster) => ({ cluster, object: SERVICE }));
  const entry = mesh.entry.length === 0 ? [] : [{ cluster: OWN_CLUSTER, object: entryOf(mesh) }];
  const rule = { cluster: OWN_CLUSTER, object: RULE };
  return [{ cluster: OWN_CLUSTER, object: settingsOf(mesh) }, rule, ...services, ...entry, ...mesh.pods.flatMap(podOf)];
}

export function settingsOf(mesh: Omit<NetworkMesh, 'pods' | 'entry' | 'byName'>): KubeObject {
  const members = (network: string) => [
    ...Object.entries(mesh.registries).flatMap(([name, n]) => (n === network ? [{ fromRegistry: name }] : [])),
    ...Object.entries(mesh.blocks).flatMap(([b, n]) => (n === network ? [{ fromCidr: `10.9.${b}.0/24` }] : [])),
  ];
  const networks = Object.entries(mesh.networks).map(([name, { gateways }]) => [
    name,
    { endpoints: members(name), gateways },
  ]);
  const rest = mesh.leaveOut ? 'LEAVE_OUT' : 'DIRECT';
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: {
      mesh: `networksWithoutGateway: ${rest}`,
      meshNetworks: JSON.stringify({ networks: Object.fromEntries(networks) }),
    },
  };
}

const SERVICE: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: { clusterIP: '10.96.0.1', selector: { app: 'cart' }, ports: [{ name: 'http', port: 80 }] },
};

const RULE: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: { host: SERVICE_HOST, subsets: [{ name: 'v1', labels: { version: 'v1' } }] },
};

/** The address of an entry's endpoint as it is written there. */
export function entryAddress({ address }: EntryEndpoint, { byName }: Pick<NetworkMesh, 'byName'>): string {
  return byName ? `h-${address}.example` : address;
}

function entryOf(mesh: NetworkMesh): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'entry', namespace: 'shop' },
    spec: {
      hosts: [ENTRY_HOST],
      location: 'MESH_INTERNAL',
      ports: [{ name: 'http', number: 80, protocol: 'http' }],
      resolution: mesh.byName ? 'DNS' : 'STATIC',
      endpoints: mesh.entry.map(({ network: name, weight, meshed, locality }, i) => ({
        address: entryAddress(mesh.entry[i]!, mesh),
        weight,
        locality,
        ...(name !== undefined && { network: name }),
        ...(meshed && { labels: { 'security.istio.io/tlsMode': 'istio' } }),
      })),
    },
  };
}

function podOf({ cluster, ip, label, meshed, state, zone, version }: PodSpec): ClusterObject[] {
  const name = `cart-${ip.replaceAll('.', '-')}`;
  const labels = {
    version,
    ...(label !== '' && { 'topology.istio.io/network': label }),
    ...(meshed && { 'security.istio.io/tlsMode': 'istio' }),
  };
  const ending = { ready: false, serving: true, terminating: true };
  const conditions = state === 'ready' ? { ready: true } : state === 'draining' ? ending : { ready: false };
  return [
    {
      cluster,
      object: {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { name, namespace: 'shop', labels },
        spec: { containers: [] },
        status: { podIP: ip },
      },
    },
    {
      cluster,
      object: {
        apiVersion: 'discovery.k8s.io/v1',
        kind: 'EndpointSlice',
        metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'cart' } },
        ports: [{ name: 'http', port: 8080 }],
        endpoints: [{ addresses: [ip], conditions, zone, targetRef: { kind: 'Pod', name } }],
      },
    },
  ];
}
