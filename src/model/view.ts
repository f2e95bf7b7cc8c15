// SPDX-License-Identifier: Apache-2.0
// What one proxy may see: the only place that decides it. Later stages get the view and nothing else, so that what a
// view holds is all that they can depend on. Proxies that see the same share one view.
import type { DestinationRule } from '../api/destination-rule.ts';
import type { Gateway } from '../api/gateway.ts';
import { selects } from '../api/kubernetes.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { ClusterName, Hostname } from '../api/names.ts';
import { isForMesh, type VirtualService } from '../api/virtual-service.ts';
import { type HostTable, hostTable, isExported, lookUpHost, qualifyHost } from './hosts.ts';
import { IdentityMemo } from './identity-memo.ts';
import { networkOf, type Reach, reachOf, type Vantage } from './networks.ts';
import type { MeshProxy } from './proxy.ts';
import { qualifyGateway } from './qualify-gateway.ts';
import type { HeadlessState, MeshIndex, MeshService, MeshSettings } from './snapshot.ts';

export interface ProxyView {
  readonly kind: MeshProxy['kind'];
  readonly cluster: ClusterName;
  readonly namespace: string;
  /** Labels of the proxy that a visible rule asks for; others cannot make a difference. */
  readonly labels: Readonly<Record<string, string>>;
  readonly settings: MeshSettings;
  readonly mesh: MeshConfig;
  readonly vantage: Vantage;
  /** One for each host, the most important first: what comes later never takes a name or an address from it. */
  readonly services: readonly MeshService[];
  readonly serviceOf: ReadonlyMap<Hostname, MeshService>;
  /** Rules for the proxy's own clients (`mesh`), by precedence. */
  readonly virtualServices: readonly VirtualService[];
  readonly destinationRules: HostTable<DestinationRule>;
  readonly identities: MeshIndex['identities'];
  readonly headless: MeshIndex['headless'];
  /** Of a gateway: what it was selected for, and all rules bound to those. */
  readonly gateways: readonly Gateway[];
  readonly gatewayRules: readonly VirtualService[];
}

/** Keeps the parts of views that depend on less than a whole index. */
export class ViewCache {
  readonly services = new IdentityMemo<Pick<ProxyView, 'services' | 'serviceOf'>>();
  readonly destinationRules = new IdentityMemo<HostTable<DestinationRule>>();
  readonly rules = new IdentityMemo<VisibleRules>();
}

interface VisibleRules {
  readonly all: readonly VirtualService[];
  /** Those for sidecars, by precedence. */
  readonly ofMesh: readonly VirtualService[];
  /** Labels that a rule asks its clients for. */
  readonly labels: readonly string[];
}

export function buildView(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): ProxyView {
  const { namespace, kind } = proxy;
  const { settings, mesh, identities, headless } = index;
  const rules = rulesFor(index, namespace, cache);
  const gateways = kind === 'gateway' ? index.gateways.filter((g) => selects(g.spec.selector, proxy.labels)) : NONE;
  const bound = new Set(gateways.map((g) => `${g.ref.namespace}/${g.ref.name}`));
  return {
    kind,
    cluster: proxy.cluster,
    namespace,
    labels: pickLabels(rules.labels, proxy.labels),
    settings,
    mesh,
    vantage: vantageOf(index, proxy),
    ...cache.services.get([index.services], `${namespace} ${proxy.requestedNetworks}`, () =>
      visibleServices(index, proxy),
    ),
    virtualServices: kind === 'gateway' ? NONE : rules.ofMesh,
    destinationRules: cache.destinationRules.get([index.destinationRules, settings], namespace, () =>
      visibleDestinationRules(index, namespace),
    ),
    identities,
    headless,
    gateways,
    gatewayRules: rules.all.filter((vs) => boundGateways(vs).some((g) => bound.has(g))),
  };
}

const NONE: readonly never[] = Object.freeze([]);

/** Proxies with equal keys have equal views of one index. */
export function viewKey(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): string {
  const { kind, cluster, namespace } = proxy;
  const { key } = standpointOf(index, proxy);
  const names = kind === 'gateway' ? Object.keys(proxy.labels).sort() : rulesFor(index, namespace, cache).labels;
  return JSON.stringify([kind, cluster, namespace, key, pickLabels(names, proxy.labels)]);
}

/** What a proxy says of its network goes before what the mesh knows of its pod. */
function standpointOf({ networks, mesh }: MeshIndex, proxy: MeshProxy): Omit<Vantage, 'far'> {
  const network = proxy.network || networkOf(networks.members, proxy);
  const requested = proxy.requestedNetworks;
  const withoutGateway = mesh.networksWithoutGateway === 'DIRECT' ? 'direct' : 'none';
  const key = JSON.stringify([network, requested, withoutGateway]);
  return { network, requested, gateways: networks.gateways, withoutGateway, key };
}

function vantageOf(index: MeshIndex, proxy: MeshProxy): Vantage {
  const { members, occupied } = index.networks;
  const standpoint = standpointOf(index, proxy);
  // Whole clusters first, so that the first and the last pod of one change nothing.
  const clusters = Object.entries(members.registries).map(([cluster, network]) => ({ cluster, network }));
  const others = [...clusters, ...occupied].filter(({ network }) => network !== standpoint.network);
  const far = (reach: Reach) =>
    [...new Set(others.filter((o) => reachOf(o.network, standpoint) === reach).map((o) => o.cluster))].sort();
  return { ...standpoint, far: { direct: far('direct'), gateway: far('gateway') } };
}

function rulesFor(index: MeshIndex, namespace: string, cache: ViewCache): VisibleRules {
  return cache.rules.get([index.virtualServices], namespace, () => visibleRules(index, namespace));
}

/** The gateways of a VirtualService as NAMESPACE/NAME, without `mesh`. */
export function boundGateways(vs: VirtualService): string[] {
  return vs.spec.gateways.filter((g) => g !== 'mesh').map((g) => qualifyGateway(g, vs.ref.namespace));
}

/** Addresses at which a client in `cluster` knows the service: IPs, and CIDR blocks of ServiceEntries. */
export function addressesOf(service: MeshService, cluster: ClusterName): readonly string[] {
  return service.registry === 'kubernetes' ? (service.clusters[cluster]?.addresses ?? []) : service.addresses;
}

/** Of a headless service: the pods that the view's own cluster has. */
export function headlessState(view: ProxyView, service: MeshService): HeadlessState | undefined {
  return view.headless.get(service.key)?.[view.cluster];
}

/** The rule for a host: the client's namespace goes before the service's, and that before the mesh's root. */
export function selectDestinationRule(view: ProxyView, service: MeshService): DestinationRule | undefined {
  const rules = lookUpHost(view.destinationRules, service.hostname);
  const inNamespace = (namespace: string) => rules.find((rule) => rule.ref.namespace === namespace);
  return inNamespace(view.namespace) ?? inNamespace(service.namespace) ?? inNamespace(view.settings.rootNamespace);
}

function visibleServices(
  index: MeshIndex,
  { namespace, requestedNetworks }: MeshProxy,
): Pick<ProxyView, 'services' | 'serviceOf'> {
  // Of two entries for one host only that with endpoints there is the business of a proxy that requests a network.
  const isAsked = (s: MeshService) => s.networks.some((network) => requestedNetworks.includes(network));
  const rank = (s: MeshService) =>
    (s.registry === 'kubernetes' ? 0 : isAsked(s) ? 2 : 4) + (s.namespace === namespace ? 0 : 1);
  const visible = [...index.services.values()]
    .filter((s) => isExported(s.exportTo, s.namespace, namespace))
    .sort((a, b) => rank(a) - rank(b) || a.createdAtMs - b.createdAtMs || (a.key < b.key ? -1 : 1));
  const serviceOf = new Map<Hostname, MeshService>();
  for (const service of visible) if (!serviceOf.has(service.hostname)) serviceOf.set(service.hostname, service);
  return { services: [...serviceOf.values()], serviceOf };
}

function visibleDestinationRules(index: MeshIndex, namespace: string): HostTable<DestinationRule> {
  return hostTable(
    index.destinationRules
      .filter((rule) => isExported(rule.spec.exportTo, rule.ref.namespace, namespace))
      .map((rule) => [qualifyHost(rule.spec.host, rule.ref.namespace, index.settings.dnsDomain), rule]),
  );
}

/** Rules that are not for everybody go before those that are; the older before the younger. */
function visibleRules(index: MeshIndex, namespace: string): VisibleRules {
  const all = index.virtualServices.filter((vs) => isExported(vs.spec.exportTo, vs.ref.namespace, namespace));
  const ofMesh = all.filter((vs) => isForMesh(vs.spec));
  const isPrivate = (vs: VirtualService) => !vs.spec.exportTo.includes('*');
  const routes = all.flatMap(({ spec }) => [...spec.http, ...spec.tls, ...spec.tcp]);
  const asked = routes.flatMap((route) => route.match.flatMap((m) => Object.keys(m.sourceLabels)));
  const labels = [...new Set(asked)].sort();
  return { all, labels, ofMesh: [...ofMesh.filter(isPrivate), ...ofMesh.filter((vs) => !isPrivate(vs))] };
}

function pickLabels(names: readonly string[], labels: MeshProxy['labels']): Readonly<Record<string, string>> {
  const picked = names.flatMap((name) => (labels[name] === undefined ? [] : [[name, labels[name]]]));
  return Object.fromEntries(picked) as Record<string, string>;
}
