// SPDX-License-Identifier: Apache-2.0
import type { Whereabouts } from '../api/localities.ts';
import { type IpFamilies, isReached } from '../model/ip-families.ts';
import { ANY_NETWORK, type GatewayAddress, reachOf, type Vantage } from '../model/networks.ts';
import type { Endpoint, EndpointSet } from '../model/snapshot.ts';
import type { Discovery, EndpointIntent, NetworkChoice } from './destination-types.ts';
import { arrangeEndpoints, type Nearness, type PlacedEndpoint } from './localities.ts';

/** The endpoints that a destination takes of its service's, as the proxy reaches them. */
export function buildEndpoints(
  discovery: Pick<Extract<Discovery, { kind: 'endpoints' }>, 'portName' | 'filter'>,
  set: EndpointSet,
  vantage: Vantage,
  nearness?: Nearness,
  node = '',
): EndpointIntent[] {
  const { portName, filter } = discovery;
  const wanted = Object.entries(filter.labels);
  const able = chooseNetworks(set, filter.networks, vantage).filter((endpoint) => {
    if (endpoint.ports[portName] === undefined) return false;
    if (filter.meshedOnly && !endpoint.meshed) return false;
    if (filter.sameNode && (node === '' || endpoint.nodeName !== node)) return false;
    return wanted.every(([key, value]) => endpoint.labels[key] === value);
  });
  return placeEndpoints(able, (endpoint) => endpoint.ports[portName]!, vantage, nearness);
}

/**
 * Endpoints that stand in for those of a service of the own cluster alone, of whose localities nobody asks the weight: the
 * clusters' parts are weights of the endpoints themselves.
 */
export function buildSpareEndpoints(...inputs: Parameters<typeof buildEndpoints>): EndpointIntent[] {
  const endpoints = buildEndpoints(...inputs);
  const sums = new Map<string, number>();
  for (const { locality, weight } of endpoints) sums.set(locality, (sums.get(locality) ?? 0) + weight);
  return endpoints.map(({ localityWeight = 1, ...endpoint }) => {
    const part = endpoint.weight / sums.get(endpoint.locality)!;
    return { ...endpoint, weight: Math.max(1, Math.round((localityWeight * part) / SPARE_PARTS)) };
  });
}

/** Parts of locality weights that are one part of an endpoint's: a hundredth of a percent. */
const SPARE_PARTS = 10_000;

/**
 * Endpoints where the proxy finds them: those that it reaches directly in the order of the set, then the gateways that
 * stand for the others. Those on their way out only when there are no others, as kube-proxy has it: a pod that is deleted
 * serves until the one that replaces it is ready. Behind a gateway, only those with a sidecar: it passes on nothing but the
 * mesh's own TLS. `nearness`: where they are makes a difference.
 */
export function placeEndpoints(
  set: EndpointSet,
  portOf: (endpoint: Endpoint) => number,
  vantage: Vantage,
  nearness?: Nearness,
): EndpointIntent[] {
  const reached = set.flatMap((endpoint) => reachedBy(endpoint, vantage) ?? []);
  const staying = reached.filter(({ endpoint }) => !endpoint.draining);
  const chosen = staying.length > 0 ? staying : reached;
  const direct = chosen.filter(({ gateways }) => gateways.length === 0);
  const remote = chosen.filter(({ gateways }) => gateways.length > 0);
  // Shares are whole numbers, and exact, in units of one part of an endpoint's weight.
  const unit = remote.reduce((lcm, { gateways }) => leastCommonMultiple(lcm, gateways.length), 1);
  const placed: PlacedEndpoint[] = [
    ...distinctAddresses(
      direct.map(({ endpoint }) => ({
        intent: {
          address: endpoint.address,
          ...(endpoint.alternatives && { alternatives: endpoint.alternatives }),
          port: portOf(endpoint),
          weight: endpoint.weight * unit,
          locality: endpoint.locality,
          meshed: endpoint.meshed,
          ...(endpoint.workload && { workload: endpoint.workload }),
        },
        where: whereabouts(endpoint, vantage),
        ...(endpoint.shared && { shared: endpoint.shared }),
      })),
    ),
    ...shareAmongGateways(remote, unit),
  ];
  return bounded(nearness === undefined ? placed.map(({ intent }) => intent) : arrangeEndpoints(placed, nearness));
}

/**
 * Envoy knows an address once: of a gateway that is written down for each of the versions behind it, it would drop all but
 * the first. Together they have the sum of their weights.
 */
function distinctAddresses(placed: readonly PlacedEndpoint[]): readonly PlacedEndpoint[] {
  const byAddress = Map.groupBy(placed, ({ intent }) => `${intent.address} ${intent.port}`);
  if (byAddress.size === placed.length) return placed;
  return [...byAddress.values()].map((same) => {
    const [first] = same;
    if (same.length === 1) return first!;
    const isEverywhere = same.every(({ intent }) => intent.locality === first!.intent.locality);
    const locality = isEverywhere ? first!.intent.locality : '';
    const weight = same.reduce((sum, { intent }) => sum + intent.weight, 0);
    return { ...first!, intent: { ...first!.intent, weight, locality }, where: { ...first!.where, locality } };
  });
}

/** What is reached from everywhere is nowhere farther away than on the proxy's own network. */
function whereabouts(endpoint: Endpoint, { network }: Vantage): Whereabouts {
  const { locality, labels, cluster, nodeName: node = '' } = endpoint;
  return { locality, labels, cluster, node, network: endpoint.network === ANY_NETWORK ? network : endpoint.network };
}

interface ReachedEndpoint {
  readonly endpoint: Endpoint;
  /** Those that it is reached by; none: it is reached where it is. */
  readonly gateways: readonly GatewayAddress[];
}

function reachedBy(endpoint: Endpoint, vantage: Vantage): ReachedEndpoint | undefined {
  const { families } = vantage;
  const reach = reachOf(endpoint.network, vantage);
  if (reach === 'direct') {
    const dialled = dialledBy(endpoint, families);
    return dialled && { endpoint: dialled, gateways: [] };
  }
  if (reach === 'none' || !endpoint.meshed) return undefined;
  const known = vantage.gateways.get(endpoint.network) ?? [];
  const usable = known.flatMap((gateway) => dialledBy(gateway, families) ?? []);
  const gateways = nearest(usable, endpoint.locality);
  return gateways.length === 0 ? undefined : { endpoint, gateways };
}

interface Dialled {
  readonly address: string;
  readonly alternatives?: readonly string[];
}

/** With the addresses that a proxy of these families can dial, the endpoint's own first; undefined without any. */
function dialledBy<T extends Dialled>(endpoint: T, families: IpFamilies): T | undefined {
  const { address, alternatives } = endpoint;
  // A workload without an address is reached by its network's gateway only.
  if (address === '') return undefined;
  if (families === 'both' || (alternatives === undefined && isReached(address, families))) return endpoint;
  const [first, ...others] = [address, ...(alternatives ?? [])].filter((each) => isReached(each, families));
  if (first === undefined) return undefined;
  const { alternatives: _, ...single } = endpoint;
  return { ...(single as T), address: first, ...(others.length > 0 && { alternatives: others }) };
}

interface GatewayShare {
  readonly gateway: GatewayAddress;
  weight: number;
  readonly behind: Endpoint[];
}

/** Each gateway once, as Envoy knows an address once only, with the weight of what stands behind it. */
function shareAmongGateways(remote: readonly ReachedEndpoint[], unit: number): PlacedEndpoint[] {
  const shares = new Map<string, GatewayShare>();
  for (const { endpoint, gateways } of remote) {
    for (const gateway of gateways) {
      const key = `${gateway.address} ${gateway.port}`;
      const share = shares.get(key) ?? { gateway, weight: 0, behind: [] };
      share.weight += (endpoint.weight * unit) / gateways.length;
      share.behind.push(endpoint);
      shares.set(key, share);
    }
  }
  return [...shares].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, share]) => placeGateway(share));
}

/** A gateway is where it says it is, or else where all behind it are; it has the labels that all of them have. */
function placeGateway({ gateway, weight, behind }: GatewayShare): PlacedEndpoint {
  const common = (of: (endpoint: Endpoint) => string | undefined): string => {
    const value = of(behind[0]!) ?? '';
    return behind.every((endpoint) => (of(endpoint) ?? '') === value) ? value : '';
  };
  const { address, alternatives, port } = gateway;
  const locality = gateway.locality || common((e) => e.locality);
  const names = Object.keys(behind[0]!.labels);
  const labels = Object.fromEntries(names.map((name) => [name, common((e) => e.labels[name])]));
  const where = { locality, labels, cluster: common((e) => e.cluster), network: common((e) => e.network), node: '' };
  const dialled = { address, ...(alternatives && { alternatives }), port };
  return { intent: { ...dialled, weight, locality, meshed: true }, where };
}

/** The gateways of the endpoint's own locality; all of the network's where there are none. */
function nearest(gateways: readonly GatewayAddress[], locality: string): readonly GatewayAddress[] {
  if (locality === '') return gateways;
  const near = gateways.filter((g) => g.locality !== '' && `${locality}/`.startsWith(`${g.locality}/`));
  return near.length > 0 ? near : gateways;
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y > 0) [x, y] = [y, x % y];
  return (a / x) * b;
}

const MAX_SUM = 0xffff_ffff;

/** Envoy refuses weights whose sum has more than 32 bits; only somebody's own huge weights get there. */
function bounded(endpoints: EndpointIntent[]): EndpointIntent[] {
  const sum = endpoints.reduce((total, { weight }) => total + weight, 0);
  if (sum <= MAX_SUM) return endpoints;
  const factor = (MAX_SUM - endpoints.length) / sum;
  return endpoints.map((endpoint) => ({ ...endpoint, weight: Math.max(1, Math.floor(endpoint.weight * factor)) }));
}

/** Before labels are asked: a subset without an endpoint on a requested network leads nowhere, not to those beside it. */
export function chooseNetworks(endpoints: EndpointSet, choice: NetworkChoice, vantage: Vantage): EndpointSet {
  if (choice === 'own') return endpoints.filter((e) => e.network === vantage.network);
  const { requested } = vantage;
  const asked = requested.length === 0 ? [] : endpoints.filter((e) => requested.includes(e.network));
  return asked.length > 0 || choice === 'requested' ? asked : endpoints;
}
