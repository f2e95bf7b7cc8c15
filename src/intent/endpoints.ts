// SPDX-License-Identifier: Apache-2.0
import { type GatewayAddress, reachOf, type Vantage } from '../model/networks.ts';
import type { Endpoint, EndpointSet } from '../model/snapshot.ts';
import type { Discovery, EndpointIntent, NetworkChoice } from './types.ts';

/** The endpoints that a destination takes of its service's, as the proxy reaches them. */
export function buildEndpoints(
  discovery: Extract<Discovery, { kind: 'endpoints' }>,
  set: EndpointSet,
  vantage: Vantage,
): EndpointIntent[] {
  const { portName, filter } = discovery;
  const wanted = Object.entries(filter.labels);
  const able = chooseNetworks(set, filter.networks, vantage).filter((endpoint) => {
    if (endpoint.ports[portName] === undefined) return false;
    if (filter.meshedOnly && !endpoint.meshed) return false;
    return wanted.every(([key, value]) => endpoint.labels[key] === value);
  });
  return placeEndpoints(able, (endpoint) => endpoint.ports[portName]!, vantage);
}

/**
 * Endpoints where the proxy finds them: those that it reaches directly in the order of the set, then the gateways that
 * stand for the others. Those on their way out only when there are no others, as kube-proxy has it: a pod that is deleted
 * serves until the one that replaces it is ready. Behind a gateway, only those with a sidecar: it passes on nothing but the
 * mesh's own TLS.
 */
export function placeEndpoints(
  set: EndpointSet,
  portOf: (endpoint: Endpoint) => number,
  vantage: Vantage,
): EndpointIntent[] {
  const reached = set.flatMap((endpoint) => reachedBy(endpoint, vantage) ?? []);
  const staying = reached.filter(({ endpoint }) => !endpoint.draining);
  const chosen = staying.length > 0 ? staying : reached;
  const direct = chosen.filter(({ gateways }) => gateways.length === 0);
  const remote = chosen.filter(({ gateways }) => gateways.length > 0);
  // Shares are whole numbers, and exact, in units of one part of an endpoint's weight.
  const unit = remote.reduce((lcm, { gateways }) => leastCommonMultiple(lcm, gateways.length), 1);
  return bounded([
    ...direct.map(({ endpoint }) => ({
      address: endpoint.address,
      port: portOf(endpoint),
      weight: endpoint.weight * unit,
      locality: endpoint.locality,
      meshed: endpoint.meshed,
      ...(endpoint.workload && { workload: endpoint.workload }),
    })),
    ...shareAmongGateways(remote, unit),
  ]);
}

interface ReachedEndpoint {
  readonly endpoint: Endpoint;
  /** Those that it is reached by; none: it is reached where it is. */
  readonly gateways: readonly GatewayAddress[];
}

function reachedBy(endpoint: Endpoint, vantage: Vantage): ReachedEndpoint | undefined {
  const reach = reachOf(endpoint.network, vantage);
  // A workload without an address is reached by its network's gateway only.
  if (reach === 'direct') return endpoint.address === '' ? undefined : { endpoint, gateways: [] };
  if (reach === 'none' || !endpoint.meshed) return undefined;
  const gateways = nearest(vantage.gateways.get(endpoint.network) ?? [], endpoint.locality);
  return gateways.length === 0 ? undefined : { endpoint, gateways };
}

/** Each gateway once, as Envoy knows an address once only, with the weight of what stands behind it. */
function shareAmongGateways(remote: readonly ReachedEndpoint[], unit: number): EndpointIntent[] {
  const shares = new Map<string, { gateway: GatewayAddress; weight: number; localities: Set<string> }>();
  for (const { endpoint, gateways } of remote) {
    for (const gateway of gateways) {
      const key = `${gateway.address} ${gateway.port}`;
      const share = shares.get(key) ?? { gateway, weight: 0, localities: new Set<string>() };
      share.weight += (endpoint.weight * unit) / gateways.length;
      share.localities.add(endpoint.locality);
      shares.set(key, share);
    }
  }
  return [...shares]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { gateway, weight, localities }]) => {
      const [behind = ''] = localities.size === 1 ? localities : [];
      const { address, port } = gateway;
      return { address, port, weight, locality: gateway.locality || behind, meshed: true };
    });
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
