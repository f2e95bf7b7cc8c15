// SPDX-License-Identifier: Apache-2.0
// What one proxy may see: the only place that decides it. Later stages get the view and nothing else, so that what a
// view holds is all that they can depend on. Proxies that see the same share one view.
import type { DestinationRule } from '../api/destination-rule.ts';
import type { Gateway } from '../api/gateway.ts';
import { selects } from '../api/kubernetes.ts';
import { HOST_LABEL, NETWORK_LABEL, type Place, placeOf, REGION_LABEL, ZONE_LABEL } from '../api/localities.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { ClusterName } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { DerivedMap } from '../incremental/derived-map.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { RecentValues } from '../incremental/recent-values.ts';
import {
  comparedLabels,
  type DestinationPolicy,
  type PolicyTable,
  policiesOfHost,
  selectorLabels,
} from './destination-policies.ts';
import { type HostTable, isExported, lookUpHost } from './hosts.ts';
import { networkOf, type Reach, reachOf, type Vantage } from './networks.ts';
import type { MeshProxy } from './proxy.ts';
import { qualifyGateway } from './qualify-gateway.ts';
import type { RuleIndex } from './rule-table.ts';
import { compareServiceAges } from './service-facts.ts';
import {
  buildScope,
  chooseSidecar,
  destinationsOf,
  importService,
  importsRule,
  type SidecarScope,
  seesEverything,
} from './sidecar-scope.ts';
import type { HeadlessState, MeshIndex, MeshService, MeshSettings } from './snapshot.ts';

export interface ProxyView {
  /** Equal for views of proxies that see the same; of one key, one place and one index there is one view. */
  readonly key: string;
  readonly kind: MeshProxy['kind'];
  readonly cluster: ClusterName;
  readonly namespace: string;
  /** Labels of the proxy that a visible rule asks for; others cannot make a difference. */
  readonly labels: Readonly<Record<string, string>>;
  readonly settings: MeshSettings;
  readonly mesh: MeshConfig;
  readonly vantage: Vantage;
  /** One for each host: the most important of those that the proxy sees. */
  readonly serviceOf: ReadonlyMap<string, MeshService>;
  /** Rules for the proxy's own clients (`mesh`); those of one host by precedence. */
  readonly rules: HostTable<VirtualService>;
  readonly destinationRules: PolicyTable;
  /** No part of the key: only endpoints and their order depend on it. */
  readonly place: Place;
  readonly identities: MeshIndex['identities'];
  readonly headless: MeshIndex['headless'];
  /** What the Sidecar of the proxies lets them see, and says of their listeners; absent without one. */
  readonly scope: SidecarScope | undefined;
  /** Of a gateway: what it was selected for, and all rules bound to those. */
  readonly gateways: readonly Gateway[];
  readonly gatewayRules: readonly VirtualService[];
}

/** Keeps the parts of views that depend on less than a whole index, and brings them up to date with the next one. */
export class ViewCache {
  readonly services = new RecentValues<DerivedMap<readonly MeshService[], MeshService>>();
  readonly rules = new RecentValues<VisibleRules<VirtualService, VirtualService>>();
  readonly destinationRules = new RecentValues<VisibleRules<DestinationRule, DestinationPolicy>>();
  readonly policies = new IdentityMemo<DestinationPolicy>();
  readonly labels = new IdentityMemo<readonly string[]>();
  readonly scopes = new IdentityMemo<SidecarScope>();
  readonly implied = new IdentityMemo<Implied>();
  readonly gateways = new IdentityMemo<readonly Gateway[]>();
  readonly gatewayRules = new IdentityMemo<readonly VirtualService[]>();
  readonly vantages = new IdentityMemo<Vantage>();
  readonly keys = new WeakMap<MeshProxy, { readonly of: readonly unknown[]; readonly key: string }>();
  readonly places = new WeakMap<MeshProxy, { readonly of: readonly unknown[]; readonly place: Place }>();

  /** Numbers tell scopes apart. */
  scopesMade = 0;

  turn(): void {
    for (const values of [this.services, this.rules, this.destinationRules]) values.turn();
  }
}

/** What clients make of the rules that they see, by host. */
class VisibleRules<R, V> {
  readonly #visible: DerivedMap<readonly R[], readonly V[]>;
  #of: RuleIndex<R> | undefined;
  #table: HostTable<V> = { exact: new Map(), wildcards: [] };

  constructor(make: (rules: readonly R[]) => readonly V[] | undefined) {
    this.#visible = new DerivedMap(make);
  }

  of(index: RuleIndex<R>): HostTable<V> {
    if (index === this.#of) return this.#table;
    this.#of = index;
    const exact = this.#visible.of(index.byHost);
    const wildcards = index.wildcards.flatMap((pattern) => {
      const values = exact.get(pattern);
      return values === undefined ? [] : [{ pattern, values }];
    });
    this.#table = { exact, wildcards };
    return this.#table;
  }
}

function visibleTo(
  namespace: string,
  isImported: (rule: VirtualService) => boolean = () => true,
): (rules: readonly VirtualService[]) => readonly VirtualService[] | undefined {
  return (rules) => {
    const isSeen = (rule: VirtualService) =>
      isExported(rule.spec.exportTo, rule.ref.namespace, namespace) && isImported(rule);
    const seen = rules.filter(isSeen);
    if (seen.length === 0) return undefined;
    // Where all are seen, as they mostly are, all namespaces share one list.
    return privateFirst(seen.length === rules.length ? rules : seen);
  };
}

function policiesFor(index: MeshIndex, { namespace, labels }: MeshProxy, cache: ViewCache): PolicyTable {
  const client = { namespace, labels: pickLabels(selectingLabels(index, namespace, cache), labels) };
  const make = (rules: readonly DestinationRule[]) =>
    policiesOfHost(rules, client, index.settings.rootNamespace, cache.policies);
  return cache.destinationRules.get(JSON.stringify(client), () => new VisibleRules(make)).of(index.hostRules);
}

/** Labels that DestinationRules of the namespace select their clients by. */
function selectingLabels({ selectiveRules }: MeshIndex, namespace: string, cache: ViewCache): readonly string[] {
  return cache.labels.get([selectiveRules], namespace, () => selectorLabels(selectiveRules, namespace));
}

/** What services ask for that prefer endpoints near their clients: the more important labels first. */
export const PLACES: Readonly<Record<MeshIndex['placing'], readonly string[]>> = {
  nowhere: [],
  zone: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL],
  node: [NETWORK_LABEL, REGION_LABEL, ZONE_LABEL, HOST_LABEL],
};

/** Where the proxy is, as far as a rule or a service may ask. */
export function placeIn(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): Place {
  const { placing } = index;
  const of = [index.networks, index.mesh, index.comparingRules, placing];
  const known = cache.places.get(proxy);
  if (known?.of.every((each, i) => each === of[i])) return known.place;
  const asked = cache.labels.get([index.comparingRules, index.mesh], `compared ${placing}`, () => [
    ...new Set([...comparedLabels(index.comparingRules, index.mesh.localityLbSetting), ...PLACES[placing]]),
  ]);
  const { locality = '', node = '', cluster, labels } = proxy;
  const place = placeOf({ locality, node, cluster, labels, network: standpointOf(index, proxy).network }, asked);
  cache.places.set(proxy, { of, place });
  return place;
}

export function buildView(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): ProxyView {
  const { namespace, kind } = proxy;
  const { settings, mesh, identities, headless } = index;
  const gateways = kind === 'gateway' ? gatewaysOf(index, proxy, cache) : NONE;
  const scope = scopeOf(index, proxy, cache);
  const rules = rulesFor(index, namespace, scope, cache);
  return {
    key: viewKey(index, proxy, cache),
    kind,
    cluster: proxy.cluster,
    namespace,
    labels: pickLabels(askedLabels(index, namespace, cache), proxy.labels),
    settings,
    mesh,
    vantage: vantageOf(index, proxy, cache),
    place: placeIn(index, proxy, cache),
    serviceOf: servicesFor(proxy, limitsOf(scope, rules, settings, cache), cache).of(index.servicesByHost),
    rules,
    scope,
    destinationRules: policiesFor(index, proxy, cache),
    identities,
    headless,
    gateways,
    gatewayRules: cache.gatewayRules.get([index.gatewayRules, gateways], namespace, () => {
      const bound = new Set(gateways.map((g) => `${g.ref.namespace}/${g.ref.name}`));
      const seen = index.gatewayRules.filter(
        (vs) =>
          isExported(vs.spec.exportTo, vs.ref.namespace, namespace) && boundGateways(vs).some((g) => bound.has(g)),
      );
      return privateFirst(seen);
    }),
  };
}

const NONE: readonly never[] = Object.freeze([]);

/** undefined without a Sidecar. */
function scopeOf(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): SidecarScope | undefined {
  const sidecar = chooseSidecar(index.sidecars, proxy, index.settings);
  if (sidecar === undefined) return undefined;
  const { namespace } = proxy;
  return cache.scopes.get([sidecar], namespace, () => buildScope(sidecar, namespace, `${++cache.scopesMade}`));
}

function rulesFor(
  index: MeshIndex,
  namespace: string,
  scope: SidecarScope | undefined,
  cache: ViewCache,
): HostTable<VirtualService> {
  const { dnsDomain } = index.settings;
  const limiting = scope === undefined || seesEverything(scope) ? undefined : scope;
  const isImported = limiting && ((rule: VirtualService) => importsRule(limiting, rule, dnsDomain));
  const limits = limiting === undefined ? '' : ` ${limiting.key}`;
  return cache.rules
    .get(`${namespace}${limits}`, () => new VisibleRules(visibleTo(namespace, isImported)))
    .of(index.meshRules);
}

function gatewaysOf({ gateways }: MeshIndex, { labels }: MeshProxy, cache: ViewCache): readonly Gateway[] {
  return cache.gateways.get([gateways], JSON.stringify(Object.entries(labels).sort()), () =>
    gateways.filter((g) => selects(g.spec.selector, labels)),
  );
}

/** Proxies with equal keys at the same place have equal views of one index. */
export function viewKey(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): string {
  const of = [index.networks, index.mesh, index.labelRules, index.selectiveRules, index.sidecars];
  const known = cache.keys.get(proxy);
  if (known?.of.every((each, i) => each === of[i])) return known.key;
  const { kind, cluster, namespace } = proxy;
  const standpoint = standpointOf(index, proxy).key;
  const names = kind === 'gateway' ? Object.keys(proxy.labels).sort() : askedLabels(index, namespace, cache);
  const selecting = pickLabels(selectingLabels(index, namespace, cache), proxy.labels);
  const scope = scopeOf(index, proxy, cache)?.key ?? '';
  const key = JSON.stringify([kind, cluster, namespace, standpoint, pickLabels(names, proxy.labels), selecting, scope]);
  cache.keys.set(proxy, { of, key });
  return key;
}

/** What a proxy says of its network goes before what the mesh knows of its pod. */
function standpointOf({ networks, mesh }: MeshIndex, proxy: MeshProxy): Omit<Vantage, 'far'> {
  const network = proxy.network || networkOf(networks.members, proxy);
  const requested = proxy.requestedNetworks;
  const withoutGateway = mesh.networksWithoutGateway === 'DIRECT' ? 'direct' : 'none';
  const key = JSON.stringify([network, requested, withoutGateway]);
  return { network, requested, gateways: networks.gateways, withoutGateway, key };
}

function vantageOf(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): Vantage {
  const standpoint = standpointOf(index, proxy);
  return cache.vantages.get([index.networks], standpoint.key, () => lookFrom(standpoint, index.networks));
}

function lookFrom(standpoint: Omit<Vantage, 'far'>, { members, occupied }: MeshIndex['networks']): Vantage {
  // Whole clusters first, so that the first and the last pod of one change nothing.
  const clusters = Object.entries(members.registries).map(([cluster, network]) => ({ cluster, network }));
  const others = [...clusters, ...occupied].filter(({ network }) => network !== standpoint.network);
  const far = (reach: Reach) =>
    [...new Set(others.filter((o) => reachOf(o.network, standpoint) === reach).map((o) => o.cluster))].sort();
  return { ...standpoint, far: { direct: far('direct'), gateway: far('gateway') } };
}

/** Labels that a visible rule asks its clients for. */
function askedLabels(index: MeshIndex, namespace: string, cache: ViewCache): readonly string[] {
  return cache.labels.get([index.labelRules], namespace, () => {
    const seen = index.labelRules.filter((vs) => isExported(vs.spec.exportTo, vs.ref.namespace, namespace));
    return [...new Set(seen.flatMap(labelsAsked))].sort();
  });
}

export function asksForLabels(vs: VirtualService): boolean {
  return labelsAsked(vs).length > 0;
}

function labelsAsked({ spec }: VirtualService): string[] {
  const routes = [...spec.http, ...spec.tls, ...spec.tcp];
  return routes.flatMap((route) => route.match.flatMap((match) => Object.keys(match.sourceLabels)));
}

/** The rules of `mesh` for a host, as they are seen on a port. */
export function rulesAt(view: ProxyView, host: string, port: number): readonly VirtualService[] {
  return importedAt(view, lookUpHost(view.rules, host), port);
}

/** Of these rules those that the port's listener imports. */
export function importedAt(
  { scope, settings }: ProxyView,
  rules: readonly VirtualService[],
  port: number,
): readonly VirtualService[] {
  if (scope === undefined || scope.byPort.size === 0) return rules;
  return rules.filter((rule) => importsRule(scope, rule, settings.dnsDomain, port));
}

/** The gateways of a VirtualService as NAMESPACE/NAME, without `mesh`. */
export function boundGateways(vs: VirtualService): string[] {
  return vs.spec.gateways.filter((g) => g !== 'mesh').map((g) => qualifyGateway(g, vs.ref.namespace));
}

/** Addresses at which a client in `cluster` knows the service: IPs, and CIDR blocks of ServiceEntries. */
export function addressesOf(service: MeshService, cluster: ClusterName): readonly string[] {
  return service.registry === 'kubernetes' ? (service.clusters[cluster]?.addresses ?? []) : service.addresses;
}

/** The service in whose place an ExternalName service stands, where the proxy sees it: at the end of a short chain. */
export function aliasTarget(
  { serviceOf }: Pick<ProxyView, 'serviceOf'>,
  service: MeshService,
): MeshService | undefined {
  let end = service;
  for (let hops = 0; hops < MAX_HOPS; hops++) {
    const next = end.aliasOf === undefined ? undefined : serviceOf.get(end.aliasOf);
    if (next === undefined) return end === service ? undefined : end;
    end = next;
  }
  return undefined;
}

/** As many as resolvers of the DNS follow without suspicion; more of them go in a circle. */
const MAX_HOPS = 8;

/** Of a headless service: the pods that the view's own cluster has. */
export function headlessState(view: ProxyView, service: MeshService): HeadlessState | undefined {
  return view.headless.get(service.key)?.[view.cluster];
}

/**
 * The policy for a host: the client's namespace goes before the service's, and that before the mesh's root. `server`: for
 * the pods of the service themselves, of whom a rule that selects clients says nothing.
 */
export function selectDestinationRule(
  view: ProxyView,
  service: MeshService,
  side: 'client' | 'server' = 'client',
): DestinationPolicy | undefined {
  const all = lookUpHost(view.destinationRules, service.hostname);
  const found = side === 'client' ? all : all.filter(({ selective }) => !selective);
  if (found.length === 0) return undefined;
  const { rootNamespace } = view.settings;
  const inNamespace = (namespace: string) => found.find((policy) => policy.namespace === namespace);
  // What the root namespace says to everybody is the last resort for its own clients too.
  const own =
    view.namespace === rootNamespace
      ? found.find((policy) => policy.namespace === rootNamespace && policy.isPrivate)
      : inNamespace(view.namespace);
  return own ?? inNamespace(service.namespace) ?? inNamespace(rootNamespace);
}

/** Hosts that are not imported, but led to by rules that are. */
interface Implied {
  readonly hosts: ReadonlySet<string>;
  readonly key: string;
}

function impliedBy(rules: HostTable<VirtualService>, { dnsDomain }: MeshSettings, cache: ViewCache): Implied {
  return cache.implied.get([rules], '', () => {
    const hosts = destinationsOf(new Set([...rules.exact.values()].flat()), dnsDomain);
    return { hosts, key: [...hosts].sort().join() };
  });
}

type Limits = Implied & { readonly scope: SidecarScope };

function limitsOf(
  scope: SidecarScope | undefined,
  rules: HostTable<VirtualService>,
  settings: MeshSettings,
  cache: ViewCache,
): Limits | undefined {
  if (scope === undefined || seesEverything(scope)) return undefined;
  return { scope, ...impliedBy(rules, settings, cache) };
}

function servicesFor(
  { namespace, requestedNetworks: requested }: MeshProxy,
  limits: Limits | undefined,
  cache: ViewCache,
) {
  const key = limits === undefined ? '' : ` ${limits.scope.key} ${limits.key}`;
  return cache.services.get(`${namespace} ${requested}${key}`, () => {
    const compare = importance(namespace, requested);
    return new DerivedMap((services) => {
      const exported = services.filter((s) => isExported(s.exportTo, s.namespace, namespace));
      const [first, ...others] = limits === undefined ? exported : exported.flatMap((s) => limited(s, limits));
      return others.reduce((best, other) => (compare(other, best!) < 0 ? other : best), first);
    });
  });
}

function limited(service: MeshService, { scope, hosts }: Limits): MeshService[] {
  const imported = importService(scope, service);
  if (imported !== undefined) return [imported];
  return hosts.has(service.hostname) ? [{ ...service, unlisted: true }] : [];
}

/** The order in which services have a name or an address that several claim: the most important first. */
export function compareServices({ namespace, vantage }: ProxyView): (a: MeshService, b: MeshService) => number {
  return importance(namespace, vantage.requested);
}

function importance(namespace: string, requested: readonly string[]): (a: MeshService, b: MeshService) => number {
  // Of two entries for one host only that with endpoints there is the business of a proxy that requests a network.
  const isAsked = (s: MeshService) => s.networks.some((network) => requested.includes(network));
  const rank = (s: MeshService) =>
    (s.registry === 'kubernetes' ? 0 : isAsked(s) ? 2 : 4) + (s.namespace === namespace ? 0 : 1);
  return (a, b) => rank(a) - rank(b) || compareServiceAges(a, b);
}

/** Rules that are not for everybody go before those that are; the older before the younger. */
function privateFirst(rules: readonly VirtualService[]): readonly VirtualService[] {
  const isPrivate = (vs: VirtualService) => !vs.spec.exportTo.includes('*');
  if (rules.length < 2 || !rules.some(isPrivate)) return rules;
  return [...rules.filter(isPrivate), ...rules.filter((vs) => !isPrivate(vs))];
}

function pickLabels(names: readonly string[], labels: MeshProxy['labels']): Readonly<Record<string, string>> {
  const picked = names.flatMap((name) => (labels[name] === undefined ? [] : [[name, labels[name]]]));
  return Object.fromEntries(picked) as Record<string, string>;
}
