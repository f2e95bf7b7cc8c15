// SPDX-License-Identifier: Apache-2.0
// What one proxy may see: the only place that decides it. Later stages get the view and nothing else, so that what a
// view holds is all that they can depend on. Proxies that see the same share one view.
import type { DestinationRule } from '../api/destination-rule.ts';
import type { Gateway } from '../api/gateway.ts';
import { selects } from '../api/kubernetes.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import { type ClusterName, covers, type Hostname, type SpiffeId } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { compareHosts, isExported, qualifyHost } from './hosts.ts';
import type { MeshProxy } from './proxy.ts';
import type { MeshIndex, MeshService, MeshSettings, ServiceKey } from './snapshot.ts';

export interface ProxyView {
  readonly kind: MeshProxy['kind'];
  readonly cluster: ClusterName;
  readonly namespace: string;
  /** Labels of the proxy that a visible rule asks for; others cannot make a difference. */
  readonly labels: Readonly<Record<string, string>>;
  readonly settings: MeshSettings;
  readonly mesh: MeshConfig;
  /** One for each host, the most important first: what comes later never takes a name or an address from it. */
  readonly services: readonly MeshService[];
  readonly serviceOf: ReadonlyMap<Hostname, MeshService>;
  /** Rules for the proxy's own clients (`mesh`), by precedence. */
  readonly virtualServices: readonly VirtualService[];
  /** Visible rules by host in full, by precedence. */
  readonly destinationRules: ReadonlyMap<Hostname, readonly DestinationRule[]>;
  readonly identities: ReadonlyMap<ServiceKey, readonly SpiffeId[]>;
  /** Of a gateway: what it was selected for, and all rules bound to those. */
  readonly gateways: readonly Gateway[];
  readonly gatewayRules: readonly VirtualService[];
}

export function buildView(index: MeshIndex, proxy: MeshProxy): ProxyView {
  const { namespace } = proxy;
  const services = visibleServices(index, namespace);
  const rules = index.virtualServices.filter((vs) => isExported(vs.spec.exportTo, vs.ref.namespace, namespace));
  const isGateway = proxy.kind === 'gateway';
  const virtualServices = isGateway ? [] : privateFirst(rules.filter((vs) => vs.spec.gateways.includes('mesh')));
  const gateways = isGateway ? index.gateways.filter((g) => selects(g.spec.selector, proxy.labels)) : [];
  const bound = new Set(gateways.map((g) => `${g.ref.namespace}/${g.ref.name}`));
  return {
    kind: proxy.kind,
    cluster: proxy.cluster,
    namespace,
    labels: labelsThatMatter(rules, proxy.labels),
    settings: index.settings,
    mesh: index.mesh,
    services,
    serviceOf: new Map(services.map((s) => [s.hostname, s])),
    virtualServices,
    destinationRules: visibleDestinationRules(index, namespace),
    identities: index.identities,
    gateways,
    gatewayRules: isGateway ? rules.filter((vs) => boundGateways(vs).some((g) => bound.has(g))) : [],
  };
}

/** Proxies with equal keys have equal views of one index. */
export function viewKey(index: MeshIndex, proxy: MeshProxy): string {
  const rules = index.virtualServices;
  const labels = proxy.kind === 'gateway' ? proxy.labels : labelsThatMatter(rules, proxy.labels);
  return JSON.stringify([proxy.kind, proxy.cluster, proxy.namespace, Object.entries(labels).sort()]);
}

/** The gateways of a VirtualService as NAMESPACE/NAME, without `mesh`. */
export function boundGateways(vs: VirtualService): string[] {
  return vs.spec.gateways.filter((g) => g !== 'mesh').map((g) => qualifyGateway(g, vs.ref.namespace));
}

export function qualifyGateway(name: string, namespace: string): string {
  return name.includes('/') || name === 'mesh' ? name : `${namespace}/${name}`;
}

/** Addresses at which a client in `cluster` knows the service: IPs, and CIDR blocks of ServiceEntries. */
export function addressesOf(service: MeshService, cluster: ClusterName): readonly string[] {
  return service.registry === 'kubernetes' ? (service.clusters[cluster]?.addresses ?? []) : service.addresses;
}

/** The rule for a host: the client's namespace goes before the service's, and that before the mesh's root. */
export function selectDestinationRule(view: ProxyView, service: MeshService): DestinationRule | undefined {
  const order = [view.namespace, service.namespace, view.settings.rootNamespace];
  for (const namespace of order) {
    for (const [host, rules] of view.destinationRules) {
      if (!covers(host, service.hostname)) continue;
      const found = rules.find((rule) => rule.ref.namespace === namespace);
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

function visibleServices(index: MeshIndex, namespace: string): MeshService[] {
  const rank = (s: MeshService) => (s.registry === 'kubernetes' ? 0 : 2) + (s.namespace === namespace ? 0 : 1);
  const visible = [...index.services.values()]
    .filter((s) => isExported(s.exportTo, s.namespace, namespace))
    .sort((a, b) => rank(a) - rank(b) || a.createdAtMs - b.createdAtMs || (a.key < b.key ? -1 : 1));
  const hosts = new Set<Hostname>();
  return visible.filter((s) => !hosts.has(s.hostname) && hosts.add(s.hostname));
}

function visibleDestinationRules(index: MeshIndex, namespace: string): Map<Hostname, DestinationRule[]> {
  const byHost = new Map<Hostname, DestinationRule[]>();
  for (const rule of index.destinationRules) {
    if (!isExported(rule.spec.exportTo, rule.ref.namespace, namespace)) continue;
    const host = qualifyHost(rule.spec.host, rule.ref.namespace, index.settings.dnsDomain);
    const rules = byHost.get(host);
    if (rules === undefined) byHost.set(host, [rule]);
    else rules.push(rule);
  }
  return new Map([...byHost].sort(([a], [b]) => compareHosts(a, b)));
}

function privateFirst(rules: readonly VirtualService[]): VirtualService[] {
  const isPrivate = (vs: VirtualService) => !vs.spec.exportTo.includes('*');
  return [...rules.filter(isPrivate), ...rules.filter((vs) => !isPrivate(vs))];
}

function labelsThatMatter(
  rules: readonly VirtualService[],
  labels: MeshProxy['labels'],
): Readonly<Record<string, string>> {
  const asked = rules.flatMap((vs) => vs.spec.http.flatMap((r) => r.match.flatMap((m) => Object.keys(m.sourceLabels))));
  const mattering = [...new Set(asked)]
    .sort()
    .flatMap((key) => (labels[key] === undefined ? [] : [[key, labels[key]]]));
  return Object.fromEntries(mattering) as Record<string, string>;
}
