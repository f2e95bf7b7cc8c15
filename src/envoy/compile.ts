// SPDX-License-Identifier: Apache-2.0
// ProxyIntent -> Envoy resources, in one explicit order.
import { DerivedMap } from '../incremental/derived-map.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { LayeredMap, Layers } from '../incremental/layered-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import type { GatewayIntent, OnDemand, OutboundHttpPortIntent, OutboundIntent, ProxyIntent } from '../intent/types.ts';
import type { DesiredState, KeptState, OfferedState, XdsResource } from '../xds/types.ts';
import { ClusterResources } from './cluster-resources.ts';
import { type EndpointLookup, EndpointResources } from './endpoint-resources.ts';
import { KeptResources } from './kept-resources.ts';
import { ListenerResources } from './listener-resources.ts';
import { TYPE_URL } from './names.ts';
import { OnDemandParts } from './on-demand.ts';
import { byName, nameOf, ResourceCache, type ResourceMap } from './resource-cache.ts';
import { RouteTables } from './route-tables.ts';
import { type SecretSource, secretSource } from './tls.ts';

/** A desired state: endpoints, and all the rest below them. */
export type CompiledState = LayeredMap<ResourceMap>;

/** Compiles intents; keeps what it made. One for each process: its proxies share resources through it. */
export class EnvoyCompiler {
  readonly #cache = new ResourceCache();
  readonly #layers = new Layers<XdsResource>();
  readonly #clusters: ClusterResources;
  readonly #endpoints = new EndpointResources(this.#cache);
  readonly #kept: KeptResources;
  readonly #listeners: ListenerResources;
  /** Of outbound ports, and all their later versions. */
  readonly #routes = new LineageMemo<DerivedMap<OutboundHttpPortIntent, XdsResource>>();
  readonly #gatewayRoutes = new WeakMap<GatewayIntent, ResourceMap>();
  readonly #routeTables = new RouteTables(this.#cache);
  readonly #onDemand = new OnDemandParts(this.#cache, this.#layers);
  readonly #states = new IdentityMemo<CompiledState>();
  readonly #endpointLayers = new IdentityMemo<DesiredState>();

  /** `secrets`: where proxies get their keys, if not at SDS_ADDRESS. */
  constructor(options: { secrets?: SecretSource } = {}) {
    const secrets = secretSource(options.secrets);
    this.#clusters = new ClusterResources(this.#cache, secrets);
    this.#kept = new KeptResources(this.#clusters, this.#endpoints);
    this.#listeners = new ListenerResources(this.#cache, this.#layers, secrets);
  }

  /** Messages built and serialized so far: what a change really cost. */
  get builds(): number {
    return this.#cache.builds;
  }

  /** The very same state for the same intent and endpoints; of a later intent, what has changed is compiled. */
  compile(intent: ProxyIntent, lookup: EndpointLookup): CompiledState {
    const { destinations } = intent;
    const clusters = this.#layers.of(this.#clusters.of(destinations), this.#clusters.own(intent));
    const listeners = this.#listeners.of(intent);
    const routes = this.#routesOf(intent);
    const endpoints = this.#endpoints.of(destinations, lookup);
    return this.#states.get([clusters, endpoints, listeners, routes], '', () => {
      const rest = new Map([
        [TYPE_URL.cluster, clusters],
        [TYPE_URL.listener, listeners],
        [TYPE_URL.routes, routes],
      ]);
      return this.#state(rest, endpoints);
    });
  }

  /** Endpoints change most often, and thousands of proxies have the same: of each no more than this pair is made anew. */
  #state(rest: DesiredState, endpoints: ResourceMap): CompiledState {
    const layer = this.#endpointLayers.get([endpoints], '', () => new Map([[TYPE_URL.endpoints, endpoints]]));
    return new LayeredMap(rest, layer);
  }

  /**
   * Of an intent that has fewer destinations than it could: what goes on being good for a proxy that has more of them. The same
   * for the same destinations and endpoints.
   */
  kept({ nameable }: ProxyIntent, lookup: EndpointLookup): KeptState | undefined {
    return nameable && this.#kept.of(nameable, lookup);
  }

  /** What was compiled of an intent with these destinations, with the endpoints that there are now. */
  withEndpoints(
    state: CompiledState,
    destinations: ProxyIntent['destinations'],
    lookup: EndpointLookup,
  ): CompiledState {
    const endpoints = this.#endpoints.of(destinations, lookup);
    return state.get(TYPE_URL.endpoints) === endpoints ? state : this.#state(state.shared, endpoints);
  }

  /** The same for a sidecar that fetches what a request needs: what it is pushed, and what it may ask for. */
  compileOnDemand(
    intent: ProxyIntent,
    outbound: OutboundIntent,
    onDemand: OnDemand,
    lookup: EndpointLookup,
  ): { readonly desired: CompiledState; readonly offered: OfferedState } {
    const { destinations } = intent;
    const clusters = this.#clusters.of(destinations);
    const listeners = this.#listeners.of(intent, onDemand);
    const pushed = this.#onDemand.pushedClusters({ destinations, outbound }, listeners, clusters);
    const hosts = this.#onDemand.hosts(outbound, onDemand);
    const rest = new Map([
      [TYPE_URL.cluster, this.#layers.of(pushed, this.#clusters.own(intent))],
      [TYPE_URL.listener, listeners],
      [TYPE_URL.routes, this.#onDemand.tables(outbound, onDemand, (table) => this.#routeTables.of(table))],
      [TYPE_URL.virtualHost, hosts.pushed],
    ]);
    const offered = new Map([
      [TYPE_URL.cluster, this.#onDemand.clusterOffer(clusters)],
      [TYPE_URL.virtualHost, hosts.offer],
    ]);
    return { desired: this.#state(rest, this.#endpoints.of(destinations, lookup)), offered };
  }

  #routesOf({ outbound, gateway }: ProxyIntent): ResourceMap {
    if (outbound === undefined) return gateway === undefined ? NO_ROUTES : this.#gatewayRoutesOf(gateway);
    const { httpPorts } = outbound;
    const make = () => new DerivedMap(({ table }: OutboundHttpPortIntent) => this.#routeTables.of(table), nameOf);
    return this.#routes.get(httpPorts, '', make).of(httpPorts);
  }

  #gatewayRoutesOf(gateway: GatewayIntent): ResourceMap {
    const known = this.#gatewayRoutes.get(gateway);
    if (known !== undefined) return known;
    const https = gateway.tcpPorts.flatMap((port) => port.https);
    const routes = byName([...gateway.httpPorts, ...https].map(({ table }) => this.#routeTables.of(table)));
    this.#gatewayRoutes.set(gateway, routes);
    return routes;
  }
}

const NO_ROUTES: ResourceMap = new Map();
