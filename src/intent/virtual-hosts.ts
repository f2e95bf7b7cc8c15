// SPDX-License-Identifier: Apache-2.0
// The route table of one port of a sidecar: a virtual host for every service with HTTP there, under all of its names.
import { isIP } from 'node:net';
import { covers } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { compareHosts, type HostTable, hostTable, lookUpHost, qualifyHost } from '../model/hosts.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import { addressesOf, type ProxyView } from '../model/view.ts';
import { buildRoutes, plainRoute } from './http-routes.ts';
import type { RouteTableIntent, VirtualHostIntent } from './types.ts';

export function buildRouteTable(view: ProxyView, port: number, rules: RuleIndex): RouteTableIntent {
  const services = view.services.filter((s) => httpPort(s, port) !== undefined);
  const taken = new Set<string>(services.map((s) => s.hostname));
  const hosts = services.map((service) => buildVirtualHost(view, service, port, rules, taken));
  return {
    name: String(port),
    hosts: [...hosts, ...foreignHosts(view, port, rules, taken)],
    otherwise: view.mesh.outboundTrafficPolicy.mode === 'ALLOW_ANY' ? 'pass-through' : 'refuse',
  };
}

export function httpPort(service: MeshService, port: number): ServicePort | undefined {
  return service.ports.find((p) => p.number === port && (p.protocol === 'http' || p.protocol === 'http2'));
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

function buildVirtualHost(
  view: ProxyView,
  service: MeshService,
  port: number,
  rules: RuleIndex,
  taken: Set<string>,
): VirtualHostIntent {
  const ref = { host: service.hostname, port, subset: '' };
  const origin = { object: service.origin, field: `spec.ports[${service.ports.findIndex((p) => p.number === port)}]` };
  const [rule] = lookUpHost(rules, service.hostname);
  const routes = rule === undefined ? [plainRoute(ref, origin)] : buildRoutes(rule, { view, gateway: 'mesh', port });
  return {
    name: `${service.hostname}:${port}`,
    domains: claimDomains(view, service, taken),
    httpsOnly: false,
    routes,
    origin: rule === undefined ? origin : { object: rule.ref, field: 'spec.hosts' },
  };
}

/** A table with one domain twice is refused whole: whoever comes first has it. The full name is its own in any case. */
function claimDomains(view: ProxyView, service: MeshService, taken: Set<string>): string[] {
  const names = [service.hostname, ...shortNames(view, service)];
  // Pods of a headless service have names of their own below it: db-0.db.default.svc.cluster.local.
  const pods = view.headless.has(service.key) ? names.map((name) => `*.${name}`) : [];
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
  const isRemote = service.meshInternal && parent === 'global';
  if (!isLocal && !isRemote) return [];
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
  const exact = [...rules.exact].map(([host, [rule]]) => ({ host, rule: rule! }));
  const wide = rules.wildcards.map(({ pattern, values }) => ({ host: pattern, rule: values[0]! }));
  return [...exact.sort((a, b) => compareHosts(a.host, b.host)), ...wide].flatMap(({ host, rule }) => {
    if (taken.has(host) || view.services.some((s) => covers(host, s.hostname))) return [];
    taken.add(host);
    const routes = buildRoutes(rule, { view, gateway: 'mesh', port });
    const origin = { object: rule.ref, field: 'spec.hosts' };
    return [{ name: `${host}:${port}`, domains: [host], httpsOnly: false, routes, origin }];
  });
}
