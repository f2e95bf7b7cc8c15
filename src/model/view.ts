// SPDX-License-Identifier: Apache-2.0
// What one proxy may see: the only place that decides it. Later stages get the view and nothing else, so that what a
// view holds is all that they can depend on. Proxies that see the same share one view.
import type { Gateway } from '../api/gateway.ts';
import { selects } from '../api/kubernetes.ts';
import { HOST_LABEL, NETWORK_LABEL, type Place, placeOf, REGION_LABEL, ZONE_LABEL } from '../api/localities.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { ClusterName } from '../api/names.ts';
import type { VirtualService } from '../api/virtual-service.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { comparedLabels, type DestinationPolicy, type PolicyTable, selectorLabels } from './destination-policies.ts';
import { type HostTable, isExported, lookUpHost } from './hosts.ts';
import { networkOf, type Reach, reachOf, type Vantage } from './networks.ts';
import type { MeshProxy } from './proxy.ts';
import { qualifyGateway } from './qualify-gateway.ts';
import { buildScope, chooseSidecar, importsRule, type SidecarScope } from './sidecar-scope.ts';
import type { HeadlessState, MeshIndex, MeshService, MeshSettings } from './snapshot.ts';
import { ANYWHERE, importance, privateFirst, VisibleTables } from './visible-tables.ts';

export interface ProxyView {
  /** Equal for views of proxies that see the same; of one key, one place and one index there is one view. */
  readonly key: string;
  readonly kind: MeshProxy['kind'];
  readonly cluster: ClusterName;
  readonly namespace: string;
  /** The view is of clients in that namespace: to be asked in the place of `namespace`, for then it is known who depends on what. */
  isIn(namespace: string): boolean;
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
  /** The view of a client in no namespace at all, where that has the very same tables. */
  readonly anywhere: ProxyView | undefined;
}

/** Keeps the parts of views that depend on less than a whole index, and brings them up to date with the next one. */
export class ViewCache {
  readonly tables = new VisibleTables();
  readonly labels = new IdentityMemo<readonly string[]>();
  readonly scopes = new IdentityMemo<SidecarScope>();
  readonly anywhere = new IdentityMemo<ProxyView>();
  readonly gateways = new IdentityMemo<readonly Gateway[]>();
  readonly gatewayRules = new IdentityMemo<readonly VirtualService[]>();
  readonly vantages = new IdentityMemo<Vantage>();
  readonly keys = new WeakMap<MeshProxy, { readonly of: readonly unknown[]; readonly key: string }>();
  readonly places = new WeakMap<MeshProxy, { readonly of: readonly unknown[]; readonly place: Place }>();

  /** Numbers tell scopes apart. */
  scopesMade = 0;

  turn(): void {
    this.tables.turn();
  }
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
  const vantage = vantageOf(index, proxy, cache);
  const place = placeIn(index, proxy, cache);
  const selecting = pickLabels(selectingLabels(index, namespace, cache), proxy.labels);
  const tables = tablesOf(index, { namespace, labels: selecting, requested: vantage.requested }, scope, cache);
  return {
    key: viewKey(index, proxy, cache),
    kind,
    cluster: proxy.cluster,
    namespace,
    isIn: (other) => other === namespace,
    labels: pickLabels(askedLabels(index, namespace, cache), proxy.labels),
    settings,
    mesh,
    vantage,
    place,
    ...tables,
    scope,
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
    anywhere: anywhereOf(index, { kind, cluster: proxy.cluster, vantage, place, tables }, cache),
  };
}

type Tables = Pick<ProxyView, 'serviceOf' | 'rules' | 'destinationRules'>;

interface Client {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly requested: readonly string[];
}

function tablesOf(index: MeshIndex, client: Client, scope: SidecarScope | undefined, { tables }: ViewCache): Tables {
  const { namespace, labels } = client;
  return {
    serviceOf: tables.services(index, client, scope),
    rules: tables.rules(index, namespace, scope),
    destinationRules: tables.policies(index, { namespace, labels }),
  };
}

/** See ProxyView.anywhere. */
function anywhereOf(
  index: MeshIndex,
  client: Pick<ProxyView, 'kind' | 'cluster' | 'vantage' | 'place'> & { readonly tables: Tables },
  cache: ViewCache,
): ProxyView | undefined {
  const { kind, cluster, vantage, place } = client;
  const tables = tablesOf(index, { namespace: ANYWHERE, labels: {}, requested: vantage.requested }, undefined, cache);
  if ((Object.keys(tables) as (keyof Tables)[]).some((name) => tables[name] !== client.tables[name])) return undefined;
  const { settings, mesh, identities, headless } = index;
  const key = JSON.stringify([kind, cluster, ANYWHERE, vantage.key]);
  return cache.anywhere.get([index, vantage], `${key} ${place.key}`, () => ({
    ...{
      key,
      kind,
      cluster,
      namespace: ANYWHERE,
      isIn: () => false,
      labels: {},
      settings,
      mesh,
      vantage,
      place,
      ...tables,
    },
    ...{ scope: undefined, identities, headless, gateways: NONE, gatewayRules: NONE, anywhere: undefined },
  }));
}

const NONE: readonly never[] = Object.freeze([]);

/** undefined without a Sidecar. */
function scopeOf(index: MeshIndex, proxy: MeshProxy, cache: ViewCache): SidecarScope | undefined {
  const sidecar = chooseSidecar(index.sidecars, proxy, index.settings);
  if (sidecar === undefined) return undefined;
  const { namespace } = proxy;
  return cache.scopes.get([sidecar], namespace, () => buildScope(sidecar, namespace, `${++cache.scopesMade}`));
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
  const { families = 'IPv4' } = proxy;
  const key = JSON.stringify([network, requested, withoutGateway, families]);
  return { network, families, requested, gateways: networks.gateways, withoutGateway, key };
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
  { serviceOf }: { readonly serviceOf: Pick<ProxyView['serviceOf'], 'get'> },
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
  const own = found.find(
    ({ namespace, isPrivate }) => (isPrivate || namespace !== rootNamespace) && view.isIn(namespace),
  );
  return own ?? inNamespace(service.namespace) ?? inNamespace(rootNamespace);
}

/** Namespaces whose clients have another policy for the service than `selectDestinationRule` says of a client anywhere. */
export function namespacesApart(anywhere: ProxyView, service: MeshService): string[] {
  const found = lookUpHost(anywhere.destinationRules, service.hostname);
  const chosen = selectDestinationRule(anywhere, service);
  if (found.every((policy) => policy === chosen)) return [];
  const namespaces = new Set(found.map(({ namespace }) => namespace));
  const inside = (namespace: string) => ({ ...anywhere, namespace, isIn: (other: string) => other === namespace });
  return [...namespaces].filter((namespace) => selectDestinationRule(inside(namespace), service) !== chosen);
}

/** The order in which services have a name or an address that several claim: the most important first. */
export function compareServices({ namespace, vantage }: ProxyView): (a: MeshService, b: MeshService) => number {
  return importance(namespace, vantage.requested);
}

function pickLabels(names: readonly string[], labels: MeshProxy['labels']): Readonly<Record<string, string>> {
  const picked = names.flatMap((name) => (labels[name] === undefined ? [] : [[name, labels[name]]]));
  return Object.fromEntries(picked) as Record<string, string>;
}
