// SPDX-License-Identifier: Apache-2.0
// The tcp and tls parts of VirtualServices: what decides before anything of a connection is read but its TLS greeting.
import type { ConnectionShare } from '../api/destination.ts';
import type { ConnectionMatch, VirtualService } from '../api/virtual-service.ts';
import { qualifyGateway } from '../model/qualify-gateway.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import { type ProxyView, rulesAt } from '../model/view.ts';
import { type RouteClient, resolveDestination } from './http-routes.ts';
import type { Origin } from './origin.ts';
import type { TcpChainIntent, TcpShare } from './types.ts';

export interface ConnectionRoute {
  /** Empty: any, or none. */
  readonly serverNames: readonly string[];
  /** CIDR blocks of the address that the client dialled; empty: the rule says nothing of it. */
  readonly blocks: readonly string[];
  readonly to: readonly TcpShare[];
  readonly origin: Origin;
}

/** The tcp routes of a rule that concern the client, in order. Behind one without blocks there is nothing more. */
export function tcpRoutes(vs: VirtualService, client: RouteClient): ConnectionRoute[] {
  const routes: ConnectionRoute[] = [];
  for (const [i, route] of vs.spec.tcp.entries()) {
    const matches = route.match.filter((match) => concerns(match, vs, client));
    if (route.match.length > 0 && matches.length === 0) continue;
    const rest = matches.length === 0 || matches.some((match) => match.destinationSubnets.length === 0);
    const blocks = rest ? [] : matches.flatMap((match) => match.destinationSubnets);
    const origin = { object: vs.ref, field: `spec.tcp[${i}]` };
    routes.push({ serverNames: [], blocks, to: sharesOf(route.route, vs, client), origin });
    if (rest) break;
  }
  return routes;
}

/** The tls routes of a rule that concern the client, in order. */
export function tlsRoutes(vs: VirtualService, client: RouteClient): ConnectionRoute[] {
  return vs.spec.tls.flatMap((route, i) => {
    const to = () => sharesOf(route.route, vs, client);
    return route.match
      .map((match, j) => ({ match, origin: { object: vs.ref, field: `spec.tls[${i}].match[${j}]` } }))
      .filter(({ match }) => concerns(match, vs, client))
      .map(({ match, origin }) => ({
        serverNames: match.sniHosts,
        blocks: match.destinationSubnets,
        to: to(),
        origin,
      }));
  });
}

/**
 * What rules make of one of a service's own chains: theirs in its place, and itself for what they leave. A tls rule leaves
 * nothing: other server names are nobody's.
 */
export function ruledChains(
  view: ProxyView,
  service: MeshService,
  port: ServicePort,
  own: TcpChainIntent,
): TcpChainIntent[] {
  const client = { view, gateway: 'mesh', port: port.number };
  const isTls = port.protocol === 'tls';
  const routes: ConnectionRoute[] = [];
  for (const rule of rulesAt(view, service.hostname, port.number)) {
    routes.push(...(isTls ? tlsRoutes(rule, client) : tcpRoutes(rule, client)));
    if (!isTls && routes.at(-1)?.blocks.length === 0) break;
  }
  if (routes.length === 0) return [own];
  const placed = routes.map((route) => ({ ...route, blocks: route.blocks.length === 0 ? own.blocks : route.blocks }));
  const chains = distinctRoutes(isTls ? placed.flatMap((route) => withBlocks(route, placed)) : placed).map(
    (route): TcpChainIntent => ({ ...route, use: own.use }),
  );
  const complete = isTls || routes.at(-1)!.blocks.length === 0;
  return complete ? chains : [...chains, own];
}

/** A proxy asks for the address before the name, and never comes back: what holds everywhere holds in each block too. */
function withBlocks(route: ConnectionRoute, all: readonly ConnectionRoute[]): ConnectionRoute[] {
  const blocks = route.blocks.length > 0 ? [] : [...new Set(all.flatMap((other) => other.blocks))];
  return blocks.length === 0 ? [route] : [{ ...route, blocks }, route];
}

function sharesOf(route: readonly ConnectionShare[], vs: VirtualService, client: RouteClient): TcpShare[] {
  const single = route.length === 1;
  return route.flatMap((share) => {
    const weight = single ? 100 : (share.weight ?? 0);
    return weight === 0 ? [] : [{ ref: resolveDestination(share.destination, vs, client), weight }];
  });
}

/** At a gateway sourceLabels and sourceNamespace say nothing: its clients are strangers. */
function concerns(match: ConnectionMatch, vs: VirtualService, client: RouteClient): boolean {
  const { view } = client;
  if (match.port !== undefined && match.port !== client.port) return false;
  const gateways = match.gateways.map((name) => qualifyGateway(name, vs.ref.namespace));
  if (gateways.length > 0 && !gateways.includes(client.gateway)) return false;
  if (client.gateway !== 'mesh') return true;
  if (match.sourceNamespace !== undefined && !view.isIn(match.sourceNamespace)) return false;
  return Object.entries(match.sourceLabels).every(([key, value]) => view.labels[key] === value);
}

/**
 * Routes without what an earlier one has: Envoy refuses a listener in which two chains match alike. A route that would
 * have lost some server names for one block only becomes a route for each block.
 */
export function distinctRoutes(routes: readonly ConnectionRoute[]): ConnectionRoute[] {
  const taken = new Map<string, Set<string>>();
  return routes.flatMap((route) => {
    const names = route.serverNames.length === 0 ? [''] : route.serverNames;
    const free = (route.blocks.length === 0 ? [''] : route.blocks).map((block) => {
      const claimed = taken.get(block) ?? new Set<string>();
      taken.set(block, claimed);
      const own = [...new Set(names)].filter((name) => !claimed.has(name));
      for (const name of own) claimed.add(name);
      return { block, own };
    });
    const groups = Map.groupBy(
      free.filter(({ own }) => own.length > 0),
      ({ own }) => own.join(' '),
    );
    return [...groups.values()].map((group) => ({
      ...route,
      serverNames: route.serverNames.length === 0 ? [] : group[0]!.own,
      blocks: route.blocks.length === 0 ? [] : group.map(({ block }) => block),
    }));
  });
}
