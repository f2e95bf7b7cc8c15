// SPDX-License-Identifier: Apache-2.0
// Virtual hosts of sidecars: one for every service with HTTP on a port, under all of its names.
import { isIP } from 'node:net';
import { covers, type Hostname, hostname } from '../api/names.ts';
import { asksForUsualPort, USUAL_PORT, type VirtualService } from '../api/virtual-service.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import type { DestinationPolicy } from '../model/destination-policies.ts';
import { isRemote, qualifyHost } from '../model/hosts.ts';
import { destinationsOf as hostsLedTo } from '../model/sidecar-scope.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import {
  addressesOf,
  aliasTarget,
  headlessState,
  importedAt,
  type ProxyView,
  rulesAt,
  selectDestinationRule,
} from '../model/view.ts';
import { withHints } from './destination-hints.ts';
import { buildRoutes, plainRoute } from './http-routes.ts';
import { refsOf } from './route-refs.ts';
import type { HttpRouteIntent, VirtualHostIntent } from './route-types.ts';

/**
 * Virtual hosts by what they were made from, so that one changed rule makes one new host and not a thousand. A rule's
 * routes also depend on the ports of the services that it sends to; those are compared at each use.
 */
export class VirtualHostCache {
  readonly #hosts = new IdentityMemo<Map<string, KeptHost>>();

  /** `rules`: those that it may be made of, beside the other objects. */
  get(
    view: ProxyView,
    { service, rules }: { readonly service: MeshService; readonly rules: readonly VirtualService[] },
    tag: string,
    make: () => VirtualHostIntent,
  ): VirtualHostIntent {
    const kept = this.#hosts.get([view.settings, view.mesh, service, ...rules], '', () => new Map());
    const known = kept.get(tag);
    if (known?.destinations.every((destination) => isCurrent(destination, view))) return known.host;
    const host = make();
    kept.set(tag, { host, destinations: destinationsOf(host, rules, view) });
    return host;
  }
}

interface KeptHost {
  readonly host: VirtualHostIntent;
  readonly destinations: readonly KeptDestination[];
}

interface KeptDestination {
  readonly name: Hostname;
  readonly service: MeshService | undefined;
  /** What it is another name of, or itself: whose rule the routes' hints are of. */
  readonly target: MeshService | undefined;
  readonly rule: DestinationPolicy | undefined;
}

function keepDestination(name: Hostname, view: ProxyView): KeptDestination {
  const service = view.serviceOf.get(name);
  const target = service && (aliasTarget(view, service) ?? service);
  return { name, service, target, rule: target && selectDestinationRule(view, target) };
}

function isCurrent(kept: KeptDestination, view: ProxyView): boolean {
  const { service, target, rule } = keepDestination(kept.name, view);
  return service === kept.service && target === kept.target && rule === kept.rule;
}

/** As they are, and as the rules call them. */
function destinationsOf(
  host: VirtualHostIntent,
  rules: readonly VirtualService[],
  view: ProxyView,
): KeptHost['destinations'] {
  const names = new Set(refsOf(host.routes).map((ref) => hostname(ref.host)));
  for (const name of hostsLedTo(new Set(rules), view.settings.dnsDomain)) names.add(hostname(name));
  return [...names].map((name) => keepDestination(name, view));
}

/** HTTP for it is found by the host of its requests; where nobody says that it is HTTP, an address tells more. */
export function isRoutedByPort(view: ProxyView, service: MeshService, { protocol }: ServicePort): boolean {
  if (protocol !== 'auto') return protocol === 'http' || protocol === 'http2';
  const addresses = addressesOf(service, view.cluster);
  return addresses.length === 0 || addresses.some((address) => isIP(address) === 0);
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

/** What a virtual host is for: `alias` is what clients call the service, which is the service itself or another name of it. */
export interface HostedService {
  readonly service: MeshService;
  readonly alias: MeshService;
  readonly port: number;
  /** The names that it has in this table, its own first. */
  readonly domains: readonly string[];
}

export function buildVirtualHost(
  view: ProxyView,
  { service, alias, port, domains }: HostedService,
  cache: VirtualHostCache,
): VirtualHostIntent {
  const own = httpRules(rulesAt(view, alias.hostname, port));
  const candidates = alias === service ? own : [...own, ...httpRules(rulesAt(view, service.hostname, port))];
  const client = candidates.some(asksClient) ? `${view.namespace} ${JSON.stringify(view.labels)}` : '';
  return cache.get(view, { service, rules: candidates }, `${port} ${client} ${domains.join()}`, () => {
    const field = `spec.ports[${service.ports.findIndex((p) => p.number === port)}]`;
    const origin = { object: service.origin, field };
    const to = { host: service.hostname, port, subset: '' };
    const ruled = firstRuled(candidates, view, port);
    return {
      name: `${alias.hostname}:${port}`,
      domains,
      httpsOnly: false,
      ...attempts(view),
      routes: withHints(ruled?.routes ?? [plainRoute(to, origin, view.mesh)], view),
      origin: ruled === undefined ? origin : { object: ruled.rule.ref, field: 'spec.hosts' },
    };
  });
}

/** It makes a difference who the client is. */
function asksClient({ spec }: VirtualService): boolean {
  return spec.http.some(({ match }) =>
    match.some((m) => m.sourceNamespace !== undefined || Object.keys(m.sourceLabels).length > 0),
  );
}

/** What a client may call the service, besides its full name, as far as no more important service is called so. */
export function otherNames(view: ProxyView, service: MeshService): string[] {
  const short = shortNames(view, service);
  // Pods of a headless service have names of their own below it: db-0.db.default.svc.cluster.local.
  const isHeadless = headlessState(view, service) !== undefined;
  const pods = isHeadless ? [service.hostname, ...short].map((name) => `*.${name}`) : [];
  return [...new Set([...short, ...pods, ...addressDomains(view, service)])];
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
  const own = namespace !== undefined && view.isIn(namespace) ? [name!] : [];
  return [...own, `${name}.${namespace}`, ...(isLocal ? [`${name}.${namespace}.svc`] : [])];
}

function addressDomains(view: ProxyView, service: MeshService): string[] {
  return [...addressesOf(service, view.cluster), ...(service.allocated ?? [])].flatMap((address) => {
    const family = isIP(address);
    return family === 4 ? [address] : family === 6 ? [`[${address}]`] : [];
  });
}

/**
 * Ports on which rules make up a host that no service has: those of HTTP that the other hosts of such a rule have, or else
 * 80, as in Istio.
 */
export function madeUpPorts(view: ProxyView, host: string): readonly number[] {
  const rules = httpRules(view.rules.exact.get(host) ?? []);
  return [...new Set(rules.flatMap((rule) => portsOfMadeUp(view, rule)))];
}

/**
 * The same for a host that a service has, but not at 80: there where a match asks for it. Istio makes up every ruled host
 * there, which would double the routes.
 */
export function madeUpBeside(view: ProxyView, { hostname, ports }: MeshService): readonly number[] {
  if (ports.some(({ number }) => number === USUAL_PORT)) return [];
  return httpRules(view.rules.exact.get(hostname) ?? []).some(({ spec }) => asksForUsualPort(spec)) ? [USUAL_PORT] : [];
}

/** A rule makes up its hosts on ports of its own; what others do with the same hosts elsewhere leaves these alone. */
function portsOfMadeUp(view: ProxyView, rule: VirtualService): readonly number[] {
  const named = rule.spec.hosts.flatMap((raw) => servicesNamed(view, rule, raw));
  const found = named.flatMap((service) => service.ports.filter((port) => isRoutedByPort(view, service, port)));
  const isUsual = found.length === 0 || asksForUsualPort(rule.spec);
  return [...(isUsual ? [USUAL_PORT] : []), ...found.map(({ number }) => number)];
}

function servicesNamed(view: ProxyView, { ref }: VirtualService, raw: string): MeshService[] {
  const host = qualifyHost(raw, ref.namespace, view.settings.dnsDomain);
  const exact = view.serviceOf.get(host);
  if (exact !== undefined || !host.startsWith('*')) return exact === undefined ? [] : [exact];
  return [...view.serviceOf.values()].filter(({ hostname: name }) => covers(host, name));
}

/** How often a request was tried is told, unless the mesh's settings say no. */
export function attempts({ mesh }: Pick<ProxyView, 'mesh'>): Pick<VirtualHostIntent, 'countsNoAttempts'> {
  return mesh.defaultConfig?.proxyHeaders?.attemptCount?.disabled ? { countsNoAttempts: true } : {};
}

export function buildMadeUpHost(view: ProxyView, host: string, port: number): VirtualHostIntent | undefined {
  const rules = httpRules(importedAt(view, view.rules.exact.get(host) ?? [], port));
  const own = rules.filter((rule) => portsOfMadeUp(view, rule).includes(port));
  const ruled = firstRuled(own, view, port);
  if (ruled === undefined) return undefined;
  const origin = { object: ruled.rule.ref, field: 'spec.hosts' };
  const domain = isIP(host) === 6 ? `[${host}]` : host;
  const routes = withHints(ruled.routes, view);
  return { name: `${host}:${port}`, domains: [domain], httpsOnly: false, ...attempts(view), routes, origin };
}
