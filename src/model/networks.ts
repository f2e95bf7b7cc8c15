// SPDX-License-Identifier: Apache-2.0
// Who is on which network, and by which addresses a network is reached from the others.
import { isIP } from 'node:net';
import { blockHolds, type CidrBlock } from '../api/cidr.ts';
import { NETWORK_LABEL } from '../api/localities.ts';
import { EXTERNAL_NETWORK, type MeshNetworks } from '../api/mesh-networks.ts';
import type { ClusterName } from '../api/names.ts';
import type { IpFamilies } from './ip-families.ts';

/** The network of a ServiceEntry's endpoint that names none: everybody reaches it where it is. */
export const ANY_NETWORK = '*';
/** What Istio calls the registry of the cluster that the control plane runs in. */
export const OWN_REGISTRY = 'Kubernetes';

/** Which addresses, and which clusters, are on which network; what is in none is on the default network ''. */
export interface NetworkMembers {
  readonly blocks: readonly { readonly block: CidrBlock; readonly network: string }[];
  readonly registries: Readonly<Record<string, string>>;
}

/** A way into a network: TLS is passed on there by its server name. */
export interface GatewayAddress {
  /** An IP address. */
  readonly address: string;
  /** Of IPv6, where the same gateway has them beside that one of IPv4. */
  readonly alternatives?: readonly string[];
  readonly port: number;
  /** `region/zone/subzone` as meshNetworks says, or ''. */
  readonly locality: string;
}

export interface NetworkIndex {
  readonly members: NetworkMembers;
  /** By network; a network without an entry has no gateway, one with an empty list none that can be used now. */
  readonly gateways: ReadonlyMap<string, readonly GatewayAddress[]>;
  /** Where endpoints with a sidecar are, sorted; it changes with the first and the last of them only. */
  readonly occupied: readonly OccupiedNetwork[];
}

export interface OccupiedNetwork {
  readonly network: string;
  readonly cluster: ClusterName;
}

export const NO_NETWORKS: NetworkIndex = {
  members: { blocks: [], registries: {} },
  gateways: new Map(),
  occupied: [],
};

export interface NetworkPosition {
  readonly cluster: string;
  readonly ip: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A pod's own word goes before the blocks of addresses, and those before its cluster. */
export function networkOf(members: NetworkMembers, { cluster, ip, labels }: NetworkPosition): string {
  const own = labels[NETWORK_LABEL];
  if (own !== undefined && own !== '') return own;
  return members.blocks.find(({ block }) => blockHolds(block, ip))?.network ?? members.registries[cluster] ?? '';
}

/** `configCluster`: the cluster that Istio's users know as the registry `Kubernetes`. */
export function membersOf(networks: MeshNetworks, configCluster: string): NetworkMembers {
  const entries = Object.entries(networks).flatMap(([network, { endpoints }]) =>
    endpoints.map((endpoint) => ({ network, endpoint })),
  );
  const blocks = entries.flatMap(({ network, endpoint }) =>
    endpoint.kind === 'cidr' ? [{ block: endpoint.block, network }] : [],
  );
  const registries = entries.flatMap(({ network, endpoint }) =>
    endpoint.kind === 'registry' ? [[clusterOf(endpoint.name, configCluster), network] as const] : [],
  );
  return { blocks, registries: Object.fromEntries(registries) };
}

export function clusterOf(registry: string, configCluster: string): string {
  return registry === OWN_REGISTRY ? configCluster : registry;
}

/** From where a proxy looks at the mesh's endpoints, which decides how it reaches each of them. */
export interface Vantage {
  readonly network: string;
  /** What the proxy has addresses of: others it cannot dial. */
  readonly families: IpFamilies;
  /** Networks that the proxy asks for: see NetworkChoice. Empty for most. */
  readonly requested: readonly string[];
  readonly gateways: NetworkIndex['gateways'];
  readonly withoutGateway: 'direct' | 'none';
  /** Clusters with endpoints on other networks that the proxy reaches in this way, sorted. */
  readonly far: Readonly<Record<'direct' | 'gateway', readonly string[]>>;
  /** Equal for proxies that have the same network, families, requests and rule for networks without a gateway. */
  readonly key: string;
}

/** How endpoints of a network are reached: where they are, by the network's gateways, or not at all. */
export type Reach = 'direct' | 'gateway' | 'none';

export function reachOf(network: string, vantage: Omit<Vantage, 'far'>): Reach {
  const { requested, gateways, withoutGateway } = vantage;
  if (network === EXTERNAL_NETWORK) return requested.includes(network) ? 'direct' : 'none';
  if (network === ANY_NETWORK || network === vantage.network) return 'direct';
  return gateways.has(network) ? 'gateway' : withoutGateway;
}

/** The networks of endpoints, sorted. */
export function networksOf(endpoints: readonly { readonly network: string }[]): readonly string[] {
  return [...new Set(endpoints.map(({ network }) => network))].sort();
}

const NO_GATEWAY: object = Object.freeze({});

/** All that decides how endpoints on these networks are reached: with equal keys and an equal tag, in the same way. */
export function vantageKeys(
  networks: readonly string[],
  vantage: Vantage,
): { readonly keys: readonly object[]; readonly tag: string } {
  const far = networks.filter((network) => network !== ANY_NETWORK && network !== vantage.network);
  const { families, requested, key } = vantage;
  if (networks.length === 0 || (far.length === 0 && requested.length === 0)) return { keys: [], tag: families };
  return { keys: far.map((network) => vantage.gateways.get(network) ?? NO_GATEWAY), tag: key };
}

/**
 * A gateway with addresses of both families is one way for each of its load balancer's addresses, not two: which one of a pair
 * belongs to which does not matter, since all of them lead to the same pods.
 */
export function pairedByFamily(addresses: readonly string[]): Pick<GatewayAddress, 'address' | 'alternatives'>[] {
  const [ipv4, ipv6] = [4, 6].map((family) => addresses.filter((each) => isIP(each) === family)) as [
    string[],
    string[],
  ];
  if (ipv4.length === 0 || ipv6.length === 0) return addresses.map((address) => ({ address }));
  const paired = ipv4.map((address, i) => ({ address, ...(ipv6[i] !== undefined && { alternatives: [ipv6[i]] }) }));
  return [...paired, ...ipv6.slice(ipv4.length).map((address) => ({ address }))];
}
