// SPDX-License-Identifier: Apache-2.0
// The route table of one port of a sidecar: a virtual host for every service with HTTP there, under all of its names.
import { isIP } from 'node:net';
import { covers, type Hostname, hostname } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { compareHosts, type HostTable, hostTable, isRemote, lookUpHost, qualifyHost } from '../model/hosts.ts';
import { IdentityMemo } from '../model/identity-memo.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import { addressesOf, headlessState, type ProxyView } from '../model/view.ts';
import { buildRoutes, plainRoute } from './http-routes.ts';
import { refsOf } from './route-refs.ts';
import type { HttpRouteIntent, RouteTableIntent, VirtualHostIntent } from './types.ts';

/**
 * Virtual hosts by what they were made from, so that one changed rule makes one new host and not a thousand. A rule's
 * routes also depend on the ports of the services that it sends to; those are compared at each use.
 */
export class VirtualHostCache {
  readonly #hosts = new IdentityMemo<Map<string, KeptHost>>();

  get(view: ProxyView, made: readonly object[], tag: string, make: () => VirtualHostIntent): VirtualHostIntent {
    const kept = this.#hosts.get([...made, view.settings], '', () => new Map());
    const known = kept.get(tag);
    if (known?.destinations.every(([host, service]) => view.serviceOf.get(host) === service)) return known.host;
    const host = make();
    kept.set(tag, { host, destinations: destinationsOf(host, view) });
    return host;
  }
}

interface KeptHost {
  readonly host: VirtualHostIntent;
  readonly destinations: readonly (readonly [Hostname, MeshService | undefined])[];
}

function destinationsOf(host: VirtualHostIntent, view: ProxyView): KeptHost['destinations'] {
  const names = new Set(refsOf(host.routes).map((ref) => hostname(ref.host)));
  return [...names].map((name) => [name, view.serviceOf.get(name)] as const);
}

export function buildRouteTable(
  view: ProxyView,
  port: number,
  rules: RuleIndex,
  cache: VirtualHostCache,
): RouteTableIntent {
  const services = view.services.filter((s) => s.ports.some((p) => p.number === port && isRoutedByPort(view, s, p)));
  const taken = new Set<string>(services.map((s) => s.hostname));
  const hosts = services.map((service) => {
    return buildVirtualHost(view, { service, port, domains: claimDomains(view, service, taken) }, rules, cache);
  });
  return {
    name: String(port),
    hosts: [...hosts, ...foreignHosts(view, port, rules, taken)],
    otherwise: view.mesh.outboundTrafficPolicy.mode === 'ALLOW_ANY' ? 'pass-through' : 'refuse',
  };
}

/** The table of a service that has addresses of its own: whatever host a request names, it came for this service. */
export function buildServiceTable(
  view: ProxyView,
  service: MeshService,
  port: number,
  rules: RuleIndex,
  cache: VirtualHostCache,
): RouteTableIntent {
  return {
    name: `${service.hostname}:${port}`,
    hosts: [buildVirtualHost(view, { service, port, domains: ['*'] }, rules, cache)],
    otherwise: 'not-found',
  };
}

/** HTTP for it is found by the host of its requests; where nobody says that it is HTTP, an address tells more. */
function isRoutedByPort(view: ProxyView, service: MeshService, { protocol }: ServicePort): boolean {
  if (protocol !== 'auto') return protocol === 'http' || protocol === 'http2';
  const addresses = addressesOf(service, view.cluster);
  return addresses.length === 0 || addresses.some((address) => isIP(address) === 0);
}

/** The rules of `mesh` by their hosts in full; those of one host by precedence. */
export type RuleIndex = HostTable<VirtualService>;

export function indexRules(view: ProxyView): RuleIndex {
  const { dnsDomain } = view.settings;
  return hostTable(
    view.virtualServices.flatMap((rule) =>
      rule.spec.hosts.map((raw) => [qualifyHost(raw, rule.ref.namespace, dnsDomain), rule] as const),
    ),
  );
}

interface RuledRoutes {
  readonly rule: VirtualService;
  readonly routes: readonly HttpRouteIntent[];
}

/** Rules that have http routes at all, of those for one host. */
function httpRules(rules: readonly VirtualService[]): readonly VirtualService[] {
  return rules.filter((rule) => rule.spec.http.length > 0);
}

/** The first rule that has a route for the client; a rule that concerns only others leaves the host to the next one. */
function firstRuled(rules: readonly VirtualService[], view: ProxyView, port: number): RuledRoutes | undefined {
  for (const rule of rules) {
    const routes = buildRoutes(rule, { view, gateway: 'mesh', port });
    if (routes.length > 0) return { rule, routes };
  }
  return undefined;
}

function buildVirtualHost(
  view: ProxyView,
  { service, port, domains }: { service: MeshService; port: number; domains: readonly string[] },
  rules: RuleIndex,
  cache: VirtualHostCache,
): VirtualHostIntent {
  const candidates = httpRules(lookUpHost(rules, service.hostname));
  const client = candidates.length === 0 ? '' : `${view.namespace} ${JSON.stringify(view.labels)}`;
  return cache.get(view, [service, ...candidates], `${port} ${client} ${domains.join()}`, () => {
    const field = `spec.ports[${service.ports.findIndex((p) => p.number === port)}]`;
    const origin = { object: service.origin, field };
    const to = { host: service.hostname, port, subset: '' };
    const ruled = firstRuled(candidates, view, port);
    return {
      name: `${service.hostname}:${port}`,
      domains,
      httpsOnly: false,
      routes: ruled?.routes ?? [plainRoute(to, origin)],
      origin: ruled === undefined ? origin : { object: ruled.rule.ref, field: 'spec.hosts' },
    };
  });
}

/** A table with one domain twice is refused whole: whoever comes first has it. The full name is its own in any case. */
function claimDomains(view: ProxyView, service: MeshService, taken: Set<string>): string[] {
  const names = [service.hostname, ...shortNames(view, service)];
  // Pods of a headless service have names of their own below it: db-0.db.default.svc.cluster.local.
  const pods = headlessState(view, service) !== undefined ? names.map((name) => `*.${name}`) : [];
  const claimed = [...names.slice(1), ...pods, ...addressDomains(view, service)].filter((name) => !taken.has(name));
  for (const name of claimed) taken.add(name);
  return [service.hostname, ...new Set(claimed)];
}

/**
 * What clients in the view's namespace may call the service. A service of another cluster, NAME.NAMESPACE.global, has
 * the short names too: a client reaches it by them when its own cluster has no such service.
 */
function shortNames(view: ProxyView, service: MeshService): string[] {
  const { dnsDomain } = view.settings;
  const [name, namespace, ...rest] = service.hostname.split('.');
  const parent = rest.join('.');
  const isLocal = service.registry === 'kubernetes' && parent === `svc.${dnsDomain}`;
  if (!isLocal && !isRemote(service)) return [];
  const own = namespace === view.namespace ? [name!] : [];
  return [...own, `${name}.${namespace}`, ...(isLocal ? [`${name}.${namespace}.svc`] : [])];
}

function addressDomains(view: ProxyView, service: MeshService): string[] {
  return addressesOf(service, view.cluster).flatMap((address) => {
    const family = isIP(address);
    return family === 4 ? [address] : family === 6 ? [`[${address}]`] : [];
  });
}

/** Hosts of rules that no service has: on port 80 a rule may make up a host of its own. */
function foreignHosts(view: ProxyView, port: number, rules: RuleIndex, taken: Set<string>): VirtualHostIntent[] {
  if (port !== 80) return [];
  const exact = [...rules.exact].map(([host, own]) => ({ host, own }));
  const wide = rules.wildcards.map(({ pattern, values }) => ({ host: pattern, own: values }));
  return [...exact.sort((a, b) => compareHosts(a.host, b.host)), ...wide].flatMap(({ host, own }) => {
    if (taken.has(host) || view.services.some((s) => covers(host, s.hostname))) return [];
    const ruled = firstRuled(httpRules(own), view, port);
    if (ruled === undefined) return [];
    taken.add(host);
    const origin = { object: ruled.rule.ref, field: 'spec.hosts' };
    const domain = isIP(host) === 6 ? `[${host}]` : host;
    return [{ name: `${host}:${port}`, domains: [domain], httpsOnly: false, routes: ruled.routes, origin }];
  });
}
