// SPDX-License-Identifier: Apache-2.0
// Snapshot -> view -> intent -> resources for one proxy: the compile stages, joined. Pure but for its cache, which holds
// nothing that could not be computed again.
import type { Workload } from './api/kubernetes.ts';
import { HOST_LABEL } from './api/localities.ts';
import { type CompiledState, EnvoyCompiler } from './envoy/compile.ts';
import type { EndpointLookup } from './envoy/endpoint-resources.ts';
import { destinationName, TYPE_URL } from './envoy/names.ts';
import { hostResourceName } from './envoy/on-demand.ts';
import { Patchers } from './envoy/patch/patcher.ts';
import { secretName } from './envoy/secrets.ts';
import type { SecretSource } from './envoy/tls.ts';
import { IdentityMemo } from './incremental/identity-memo.ts';
import { buildIntent, IntentCache } from './intent/build.ts';
import type { DestinationIntent, EndpointFilter, EndpointIntent, LocalityIntent } from './intent/destination-types.ts';
import { buildEndpoints, buildSpareEndpoints } from './intent/endpoints.ts';
import type { Origin } from './intent/origin.ts';
import { PatchCache } from './intent/patches.ts';
import { type SecretUse, SecretUseCache, secretsOf } from './intent/secrets.ts';
import type { ProxyIntent } from './intent/types.ts';
import { networksOf, vantageKeys } from './model/networks.ts';
import type { MeshProxy } from './model/proxy.ts';
import { type EndpointSet, type MeshIndex, type MeshSnapshot, workloadKey } from './model/snapshot.ts';
import { buildView, type ProxyView, placeIn, selectDestinationRule, ViewCache, viewKey } from './model/view.ts';
import { SECRET_TYPE } from './xds/session/type-urls.ts';
import type { DesiredState, KeptState, OfferedState } from './xds/types.ts';

interface ProxyParts {
  /** What the proxy may ask for beyond that. */
  readonly offered: OfferedState;
  /** What it goes on with that it was given before. */
  readonly kept?: KeptState | undefined;
  readonly intent: ProxyIntent;
  /** Keys and roots that it is to get apart. */
  readonly secrets: readonly SecretUse[];
  /** The objects behind a resource, for the blame of a refused one; empty where no object of a user is. */
  origins(typeUrl: string, resourceName: string): readonly Origin[];
}

/** Of a proxy that no EnvoyFilter concerns. */
interface PlainProxy extends ProxyParts {
  readonly desired: CompiledState;
  readonly patches?: undefined;
}

interface PatchedProxy extends ProxyParts {
  readonly desired: DesiredState;
  /** `idle`: those that find nothing to change. */
  readonly patches: { readonly all: readonly Origin[]; readonly idle: () => readonly Origin[] };
}

export type CompiledProxy = PlainProxy | PatchedProxy;

interface KnownProxy {
  /** Changed in place: a change of endpoints concerns every proxy, and what is made anew for each is garbage soon. */
  snapshot: MeshSnapshot;
  readonly view: ProxyView;
  readonly workload: Workload | undefined;
  compiled: CompiledProxy;
}

/** Everything that compiling keeps from one proxy to the next, and from one snapshot to the next. */
export class CompileCache {
  readonly envoy: EnvoyCompiler;
  readonly intents = new IntentCache();
  readonly secrets = new SecretUseCache();
  readonly patches = new PatchCache();
  readonly patchers = new Patchers();
  readonly endpoints = new IdentityMemo<readonly EndpointIntent[]>();
  /** Networks that a service's endpoints are on. */
  readonly networks = new IdentityMemo<readonly string[]>();
  /** Of each proxy the latest. */
  readonly proxies = new WeakMap<MeshProxy, KnownProxy>();
  readonly #parts = new ViewCache();
  readonly #views = new WeakMap<MeshIndex, Map<string, ProxyView>>();

  constructor(options: { secrets?: SecretSource } = {}) {
    this.envoy = new EnvoyCompiler(options);
  }

  view(index: MeshIndex, proxy: MeshProxy): ProxyView {
    const views = this.#views.get(index) ?? new Map<string, ProxyView>();
    if (views.size === 0) this.#turn();
    this.#views.set(index, views);
    const key = `${viewKey(index, proxy, this.#parts)} ${placeIn(index, proxy, this.#parts).key}`;
    const view = views.get(key) ?? buildView(index, proxy, this.#parts);
    views.set(key, view);
    return view;
  }

  #turn(): void {
    this.#parts.turn();
    this.intents.turn();
  }
}

const NOTHING_OFFERED: OfferedState = new Map();
const NO_ENDPOINTS: EndpointSet = Object.freeze([]);

export function compileProxy(snapshot: MeshSnapshot, proxy: MeshProxy, cache: CompileCache): CompiledProxy {
  const { index, endpoints } = snapshot;
  const known = cache.proxies.get(proxy);
  if (known?.snapshot === snapshot) return known.compiled;
  // A view is of one index: endpoints that come and go leave it alone.
  const view = known?.snapshot.index === index ? known.view : cache.view(index, proxy);
  const workload = snapshot.workloads.get(workloadKey(proxy.cluster, proxy.namespace, proxy.podName));
  // With the view and the pod, all but the endpoints is as it was.
  const isSame = known?.view === view && known.workload === workload;
  if (isSame && known.snapshot.endpoints === endpoints) {
    known.snapshot = snapshot;
    return known.compiled;
  }
  // Most changes are of endpoints: nothing else is looked at. (What patches were done to is not kept.)
  if (isSame && known.snapshot.index === index && known.compiled.patches === undefined) {
    known.compiled = withEndpoints(known.compiled, { snapshot, view }, cache);
    known.snapshot = snapshot;
    return known.compiled;
  }
  const compiled = compileAnew({ snapshot, view, proxy, workload }, cache);
  cache.proxies.set(proxy, { snapshot, view, workload, compiled });
  return compiled;
}

interface CompileInputs {
  readonly snapshot: MeshSnapshot;
  readonly view: ProxyView;
  readonly proxy: MeshProxy;
  readonly workload: Workload | undefined;
}

type EndpointInputs = Pick<CompileInputs, 'snapshot' | 'view'>;

function lookUpEndpoints({ snapshot, view }: EndpointInputs, cache: CompileCache): EndpointLookup {
  return {
    endpoints: snapshot.endpoints,
    ways: snapshot.index.networks.gateways,
    scope: `${view.vantage.key} ${view.place.key}`,
    of: (destination) => endpointsOf(snapshot, destination, view, cache),
  };
}

function withEndpoints(before: PlainProxy, inputs: EndpointInputs, cache: CompileCache): PlainProxy {
  const lookup = lookUpEndpoints(inputs, cache);
  const desired = cache.envoy.withEndpoints(before.desired, before.intent.destinations, lookup);
  const kept = cache.envoy.kept(before.intent, lookup);
  return desired === before.desired && kept === before.kept ? before : { ...before, desired, kept };
}

function compileAnew(inputs: CompileInputs, cache: CompileCache): CompiledProxy {
  const { snapshot, view, proxy, workload } = inputs;
  const { index } = snapshot;
  const patches = cache.patches.of(index, proxy);
  const intent = buildIntent({ index, view, proxy, workload, isPatched: patches.length > 0 }, cache.intents);
  const lookup = lookUpEndpoints(inputs, cache);
  const { onDemand, outbound } = intent;
  const { desired, offered } =
    onDemand === undefined || outbound === undefined
      ? { desired: cache.envoy.compile(intent, lookup), offered: NOTHING_OFFERED }
      : cache.envoy.compileOnDemand(intent, outbound, onDemand, lookup);
  const secrets = secretsOf(intent, cache.secrets);
  const origins = (typeUrl: string, name: string) => originsOf({ intent, view, secrets }, typeUrl, name);
  const kept = cache.envoy.kept(intent, lookup);
  if (patches.length === 0) return { desired, offered, kept, intent, secrets, origins };
  const patcher = cache.patchers.of(patches, proxy.kind);
  const patched = patcher.patch(desired, offered);
  return {
    ...patched,
    intent,
    secrets,
    origins: (typeUrl, name) => [...patcher.origins(typeUrl, name, { desired, offered }), ...origins(typeUrl, name)],
    patches: { all: patches.map(({ origin }) => origin), idle: () => patcher.idle({ desired, offered }) },
  };
}

function endpointsOf(
  snapshot: MeshSnapshot,
  destination: DestinationIntent,
  view: ProxyView,
  cache: CompileCache,
): readonly EndpointIntent[] {
  const { discovery, locality } = destination;
  if (discovery.kind !== 'endpoints') return [];
  const { service, portName, filter, spare } = discovery;
  const own = endpointsBy({ destination, service, portName, filter, locality }, snapshot, view, cache);
  if (own.length > 0 || spare === undefined) return own;
  const rule = { kind: 'clusters', split: spare.split } as const;
  return endpointsBy({ destination, ...spare, filter, locality: rule, isSpare: true }, snapshot, view, cache);
}

interface EndpointQuery {
  readonly destination: DestinationIntent;
  readonly service: string;
  readonly portName: string;
  readonly filter: EndpointFilter;
  readonly locality: LocalityIntent | undefined;
  readonly isSpare?: true;
}

function endpointsBy(
  { destination, service, portName, filter, locality, isSpare }: EndpointQuery,
  { endpoints }: MeshSnapshot,
  { vantage, place, cluster }: ProxyView,
  cache: CompileCache,
): readonly EndpointIntent[] {
  const set = endpoints.get(service) ?? NO_ENDPOINTS;
  const networks = cache.networks.get([set], '', () => networksOf(set));
  const { keys, tag } = vantageKeys(networks, vantage);
  const near = locality && { rule: locality, place, cluster };
  // The whole destination is part of the key: its locality rule is plain data beside the discovery.
  const node = filter.sameNode ? place.labels[HOST_LABEL] : undefined;
  const at = near === undefined ? '' : near.rule.kind === 'clusters' ? `${place.key} ${cluster}` : place.key;
  const build = isSpare ? buildSpareEndpoints : buildEndpoints;
  return cache.endpoints.get([set, destination, ...keys], `${tag} ${at} ${node ?? ''}${isSpare ? ' spare' : ''}`, () =>
    build({ portName, filter }, set, vantage, near, node),
  );
}

/** The DestinationRule that says how the destination is to be reached. */
function ruleOf({ ref }: DestinationIntent, view: ProxyView): Origin[] {
  const service = view.serviceOf.get(ref.host);
  const rule = service && selectDestinationRule(view, service);
  return rule === undefined ? [] : [{ object: rule.policyRef, field: 'spec' }];
}

interface Compiled {
  readonly intent: ProxyIntent;
  readonly view: ProxyView;
  readonly secrets: readonly SecretUse[];
}

function originsOf({ intent, view, secrets }: Compiled, typeUrl: string, name: string): readonly Origin[] {
  const { outbound, inbound, gateway } = intent;
  switch (typeUrl) {
    case TYPE_URL.cluster:
    case TYPE_URL.endpoints:
      return [...(intent.nameable ?? intent.destinations).values()]
        .filter((d) => destinationName(d.ref, d.use) === name)
        .flatMap((d) => [...ruleOf(d, view), d.origin]);
    case TYPE_URL.routes:
    case TYPE_URL.virtualHost: {
      const https = gateway?.tcpPorts.flatMap((port) => port.https) ?? [];
      const ports = [...(outbound?.httpPorts.values() ?? []), ...(gateway?.httpPorts ?? []), ...https];
      const hosts = ports.flatMap(({ table }) =>
        [...table.hosts.values()].filter((host) =>
          typeUrl === TYPE_URL.routes ? table.name === name : hostResourceName(table, host) === name,
        ),
      );
      return hosts.flatMap((host) => [host.origin, ...host.routes.map((route) => route.origin)]);
    }
    case TYPE_URL.listener: {
      const outgoing = [...(outbound?.httpPorts.values() ?? []), ...(outbound?.tcpPorts.values() ?? [])];
      const tcp = [...outgoing, ...(gateway?.tcpPorts ?? [])].flatMap((port) => port.chains);
      const https = gateway?.tcpPorts.flatMap((port) => port.https) ?? [];
      return [
        ...[...tcp, ...https, ...(inbound?.ports ?? [])].map(({ origin }) => origin),
        ...intent.telemetry.origins,
      ];
    }
    case SECRET_TYPE:
      return secrets.filter((use) => secretName(use) === name).map(({ origin }) => origin);
    default:
      return [];
  }
}
