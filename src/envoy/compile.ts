// SPDX-License-Identifier: Apache-2.0
// ProxyIntent -> Envoy resources, in one explicit order.
import { hash } from 'node:crypto';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { DerivedMap } from '../incremental/derived-map.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { LayeredMap, Layers } from '../incremental/layered-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import { RecentValues } from '../incremental/recent-values.ts';
import { destinationKey } from '../intent/destination-state.ts';
import type { DestinationIntent, EndpointIntent } from '../intent/destination-types.ts';
import type { VirtualHostIntent } from '../intent/route-types.ts';
import type { SideTelemetry } from '../intent/telemetry-types.ts';
import type {
  GatewayIntent,
  GatewayPortIntent,
  HttpPortIntent,
  OnDemand,
  OutboundHttpPortIntent,
  OutboundIntent,
  ProxyIntent,
  TcpPortIntent,
} from '../intent/types.ts';
import type { DesiredState, Kept, KeptState, OfferedState, XdsResource } from '../xds/types.ts';
import { buildBlackHole, buildCluster, buildInboundCluster, buildPassthrough, buildStrangers } from './clusters.ts';
import { EndpointResources } from './endpoint-resources.ts';
import { assignmentContext, buildLoadAssignment } from './endpoints.ts';
import { buildGatewayHttpListener, buildGatewayTcpListener } from './listeners-gateway.ts';
import { buildOpenInbound, buildVirtualInbound } from './listeners-inbound.ts';
import { buildHttpListener, buildTcpListener, buildVirtualOutbound } from './listeners-outbound.ts';
import { onBothFamilies } from './messages.ts';
import { destinationName, destinationNamed, TYPE_URL, unclaimedName } from './names.ts';
import { OnDemandParts } from './on-demand.ts';
import { ResourceCache } from './resource-cache.ts';
import { RouteTables } from './route-tables.ts';
import { type SecretSource, secretSource } from './tls.ts';

const CLUSTER = { typeUrl: TYPE_URL.cluster, schema: ClusterSchema, name: 'name' as const };
/** Copies of a pod have equal ones. */
const INBOUND = { ...CLUSTER, isRepeated: true as const };
const ENDPOINTS = {
  typeUrl: TYPE_URL.endpoints,
  schema: ClusterLoadAssignmentSchema,
  name: 'clusterName' as const,
};
/** Ordered by where the proxy is, they are made for each place, and often alike. */
const ENDPOINTS_BY_PLACE = { ...ENDPOINTS, isRepeated: true as const };
const LISTENER = {
  typeUrl: TYPE_URL.listener,
  schema: ListenerSchema,
  name: 'name' as const,
  isRepeated: true as const,
};

export interface EndpointLookup {
  /** All endpoints, by service. */
  readonly endpoints: ReadonlyMap<string, unknown>;
  /** The same object while the ways to endpoints of other networks are the same. */
  readonly ways: object;
  /** Equal for proxies that reach the same endpoints in the same way. */
  readonly scope: string;
  /** Asked for every destination whose endpoints come from us; equal answers must be one array. */
  of(destination: DestinationIntent): readonly EndpointIntent[];
}

type ResourceMap = ReadonlyMap<string, XdsResource>;

/** What all listeners of a proxy's outbound side have in common. */
type OutboundFrame = Pick<OutboundIntent, 'unknown' | 'detectionTimeoutMs'> & {
  readonly hasIpv6: true | undefined;
};

const nameOf = (resource: XdsResource): string => resource.name;

/** Compiles intents; keeps what it made. One for each process: its proxies share resources through it. */
export class EnvoyCompiler {
  readonly #cache = new ResourceCache();
  readonly #keys = new WeakMap<SideTelemetry, string>();
  readonly #layers = new Layers<XdsResource>();
  readonly #own = new IdentityMemo<ResourceMap>();
  readonly #ownMaps = new Map<string, WeakRef<ResourceMap>>();
  readonly #forgetOwn = new FinalizationRegistry<string>((key) => {
    if (this.#ownMaps.get(key)?.deref() === undefined) this.#ownMaps.delete(key);
  });
  readonly #states = new IdentityMemo<DesiredState>();
  readonly #keptClusters = new IdentityMemo<Kept>();
  readonly #kept = new IdentityMemo<KeptState>();
  readonly #endpointLayers = new IdentityMemo<DesiredState>();
  /** Of the maps of an intent, and all their later versions: what they become. */
  readonly #clusters = new LineageMemo<DerivedMap<DestinationIntent, XdsResource>>();
  readonly #endpoints = new LineageMemo<RecentValues<EndpointResources>>();
  readonly #httpListeners = new LineageMemo<DerivedMap<OutboundHttpPortIntent, XdsResource>>();
  readonly #tcpListeners = new LineageMemo<DerivedMap<TcpPortIntent, XdsResource>>();
  readonly #routes = new LineageMemo<DerivedMap<OutboundHttpPortIntent, XdsResource>>();
  readonly #routeTables = new RouteTables(this.#cache);
  readonly #onDemand = new OnDemandParts(this.#cache, this.#layers);
  readonly #secrets: ConfigSource;
  /** Nodes for resources that no intent node stands for. */
  readonly #fixed = { passthrough: {}, blackHole: {}, inboundRest: {}, outboundTrap: {}, nothing: {} };

  /** `secrets`: where proxies get their keys, if not at SDS_ADDRESS. */
  constructor(options: { secrets?: SecretSource } = {}) {
    this.#secrets = secretSource(options.secrets);
  }

  /** Messages built and serialized so far: what a change really cost. */
  get builds(): number {
    return this.#cache.builds;
  }

  /** The very same state for the same intent and endpoints; of a later intent, what has changed is compiled. */
  compile(intent: ProxyIntent, endpoints: EndpointLookup): DesiredState {
    const { destinations, outbound, gateway } = intent;
    const clusters = this.#layers.of(this.#destinationClusters(destinations), this.#ownClusterMap(intent));
    const ownListeners = this.#ownListenerMap(intent);
    const listeners =
      outbound === undefined ? ownListeners : this.#layers.of(this.#outboundListeners(intent, outbound), ownListeners);
    const routes =
      outbound === undefined
        ? this.#own.get([gateway ?? this.#fixed.nothing], 'routes', () => byName(this.#gatewayRoutes(gateway)))
        : this.#routes
            .get(outbound.httpPorts, '', () => new DerivedMap((port) => this.#routeTables.of(port.table), nameOf))
            .of(outbound.httpPorts);
    const loadAssignments = this.#endpointsOf(destinations, endpoints);
    return this.#states.get([clusters, loadAssignments, listeners, routes], '', () => {
      const rest = new Map([
        [TYPE_URL.cluster, clusters],
        [TYPE_URL.listener, listeners],
        [TYPE_URL.routes, routes],
      ]);
      return this.#state(rest, loadAssignments);
    });
  }

  /** Endpoints change most often, and thousands of proxies have the same: of each no more than this pair is made anew. */
  #state(rest: DesiredState, endpoints: ResourceMap): DesiredState {
    const layer = this.#endpointLayers.get([endpoints], '', () => new Map([[TYPE_URL.endpoints, endpoints]]));
    return new LayeredMap(rest, layer);
  }

  /**
   * Of an intent that has fewer destinations than it could: what goes on being good for a proxy that has more of them. The same
   * for the same destinations and endpoints.
   */
  kept({ nameable }: ProxyIntent, lookup: EndpointLookup): KeptState | undefined {
    if (nameable === undefined) return undefined;
    const find = (name: string) => {
      const ref = destinationNamed(name);
      return ref && nameable.get(destinationKey({ use: 'proxy', ref }));
    };
    const cluster = this.#keptClusters.get([nameable], '', () => ({
      find: (name) => {
        const destination = find(name);
        return destination && this.#cluster(destination);
      },
      all: once(() => this.#destinationClusters(nameable)),
    }));
    return this.#kept.get([nameable, lookup.endpoints, lookup.ways], lookup.scope, () => {
      const endpoints: Kept = {
        find: (name) => {
          const destination = find(name);
          if (destination?.discovery.kind !== 'endpoints') return undefined;
          return this.#loadAssignment(destination, lookup.of(destination));
        },
        all: once(() => this.#endpointsOf(nameable, lookup)),
      };
      return new Map([
        [TYPE_URL.cluster, cluster],
        [TYPE_URL.endpoints, endpoints],
      ]);
    });
  }

  /** What was compiled of an intent with these destinations, with the endpoints that there are now. */
  withEndpoints(state: DesiredState, destinations: ProxyIntent['destinations'], now: EndpointLookup): DesiredState {
    const endpoints = this.#endpointsOf(destinations, now);
    if (state.get(TYPE_URL.endpoints) === endpoints) return state;
    const isOther = ([typeUrl]: readonly [string, ResourceMap]): boolean => typeUrl !== TYPE_URL.endpoints;
    return this.#state(state instanceof LayeredMap ? state.shared : new Map([...state].filter(isOther)), endpoints);
  }

  /** The same for a sidecar that fetches what a request needs: what it is pushed, and what it may ask for. */
  compileOnDemand(
    intent: ProxyIntent,
    outbound: OutboundIntent,
    onDemand: OnDemand,
    endpoints: EndpointLookup,
  ): { readonly desired: DesiredState; readonly offered: OfferedState } {
    const { destinations } = intent;
    const clusters = this.#destinationClusters(destinations);
    const listeners = this.#layers.of(
      this.#outboundListeners(intent, outbound, onDemand),
      this.#ownListenerMap(intent),
    );
    const pushed = this.#onDemand.pushedClusters({ destinations, outbound }, listeners, clusters);
    const hosts = this.#onDemand.hosts(outbound, onDemand);
    const rest = new Map([
      [TYPE_URL.cluster, this.#layers.of(pushed, this.#ownClusterMap(intent))],
      [TYPE_URL.listener, listeners],
      [TYPE_URL.routes, this.#onDemand.tables(outbound, onDemand, (table) => this.#routeTables.of(table))],
      [TYPE_URL.virtualHost, hosts.pushed],
    ]);
    const offered = new Map([
      [TYPE_URL.cluster, this.#onDemand.clusterOffer(clusters)],
      [TYPE_URL.virtualHost, hosts.offer],
    ]);
    return { desired: this.#state(rest, this.#endpointsOf(destinations, endpoints)), offered };
  }

  #destinationClusters(destinations: ProxyIntent['destinations']): ResourceMap {
    return this.#clusters.get(destinations, '', () => new DerivedMap((d) => this.#cluster(d), nameOf)).of(destinations);
  }

  #ownClusterMap(intent: ProxyIntent): ResourceMap {
    const keepsCase = intent.telemetry.client.headers?.keepsCase;
    const tag = `clusters ${intent.kind} ${intent.upstreamMark} ${intent.hasIpv6} ${keepsCase}`;
    const parts = [intent.inbound ?? this.#fixed.nothing, intent.outbound?.strangers ?? this.#fixed.nothing];
    return this.#own.get(parts, tag, () => this.#interned(byName(this.#ownClusters(intent))));
  }

  #ownListenerMap(intent: ProxyIntent): ResourceMap {
    const { inbound, gateway, telemetry, outbound } = intent;
    const parts = [inbound ?? gateway ?? this.#fixed.nothing, telemetry.client, telemetry.server];
    const strangers = outbound?.strangers?.families;
    return this.#own.get(
      parts,
      `listeners ${outbound && unclaimedName(outbound.unknown)} ${strangers} ${intent.hasIpv6}`,
      () => this.#interned(byName(this.#ownListeners(intent))),
    );
  }

  /** Pods that are copies of one another have equal maps: one map for all of them. */
  #interned(map: ResourceMap): ResourceMap {
    const key = hash('sha1', [...map.values()].map(({ name, version }) => `${name} ${version}`).join('\n'));
    const known = this.#ownMaps.get(key)?.deref();
    if (known !== undefined) return known;
    this.#ownMaps.set(key, new WeakRef(map));
    this.#forgetOwn.register(map, key);
    return map;
  }

  #cluster(destination: DestinationIntent): XdsResource {
    return this.#cache.get(destination, '', CLUSTER, () => buildCluster(destination, this.#secrets));
  }

  *#ownClusters(intent: ProxyIntent): Generator<XdsResource> {
    if (intent.kind === 'gateway') return;
    const keepsCase = intent.telemetry.client.headers?.keepsCase === true;
    yield this.#cache.get(this.#fixed.passthrough, `passthrough ${keepsCase}`, CLUSTER, () =>
      buildPassthrough(10_000, keepsCase),
    );
    yield this.#cache.get(this.#fixed.blackHole, 'black hole', CLUSTER, buildBlackHole);
    const strangers = intent.outbound?.strangers;
    if (strangers !== undefined)
      yield this.#cache.get(strangers, `strangers ${keepsCase}`, CLUSTER, () =>
        buildStrangers(strangers, keepsCase, this.#secrets),
      );
    const { upstreamMark, hasIpv6 } = intent;
    const own = { upstreamMark, ...(hasIpv6 && { hasIpv6 }) };
    const context = `inbound ${upstreamMark} ${hasIpv6}`;
    for (const port of intent.inbound?.ports ?? []) {
      yield this.#cache.get(port, context, INBOUND, () => buildInboundCluster(port, own));
    }
    yield this.#cache.get(this.#fixed.inboundRest, context, CLUSTER, () => buildInboundCluster(undefined, own));
  }

  #endpointsOf(destinations: ProxyIntent['destinations'], lookup: EndpointLookup): ResourceMap {
    const scopes = this.#endpoints.get(destinations, '', () => new RecentValues());
    const build = (destination: DestinationIntent, endpoints: readonly EndpointIntent[]) =>
      this.#loadAssignment(destination, endpoints);
    const { resources, isNew } = scopes.get(lookup.scope, () => new EndpointResources(build)).of(destinations, lookup);
    if (isNew) scopes.turn();
    return resources;
  }

  #loadAssignment(destination: DestinationIntent, endpoints: readonly EndpointIntent[]): XdsResource {
    const name = destinationName(destination.ref, destination.use);
    const { locality } = destination;
    const kind = locality === undefined ? ENDPOINTS : ENDPOINTS_BY_PLACE;
    return this.#cache.get(endpoints, `${name} ${assignmentContext(locality)}`, kind, () =>
      buildLoadAssignment(name, endpoints, locality),
    );
  }

  #outboundListeners({ telemetry, hasIpv6 }: ProxyIntent, outbound: OutboundIntent, onDemand?: OnDemand): ResourceMap {
    const told = telemetry.client;
    const { unknown, detectionTimeoutMs, httpPorts, tcpPorts } = outbound;
    const rest = `${unclaimedName(unknown)} ${this.#keyOf(told)}${ipv6Key(hasIpv6)}`;
    const context = `${rest} ${detectionTimeoutMs}${onDemand === undefined ? '' : ` ${onDemand}`}`;
    const like = { unknown, detectionTimeoutMs, hasIpv6 };
    const http = this.#httpListeners.get(httpPorts, context, () =>
      this.#derivedHttpListeners(context, like, told, onDemand),
    );
    const tcp = this.#tcpListeners.get(tcpPorts, rest, () => this.#derivedTcpListeners(rest, like, told));
    return this.#layers.of(http.of(httpPorts), tcp.of(tcpPorts));
  }

  // These live as long as the ports' tables do, and must not see any of their versions.

  #derivedHttpListeners(
    context: string,
    like: OutboundFrame,
    told: SideTelemetry,
    onDemand: OnDemand | undefined,
  ): DerivedMap<OutboundHttpPortIntent, XdsResource> {
    const frames = new WeakMap<object, OutboundHttpPortIntent>();
    return new DerivedMap((port) => {
      // Hashing its chains anew for each changed route would cost what the services of the port are.
      const frame = frames.get(port.chains) ?? withoutRoutes(port);
      frames.set(port.chains, frame);
      return this.#listener(frame, context, like, () => buildHttpListener(frame, like, told, onDemand));
    }, nameOf);
  }

  #derivedTcpListeners(
    context: string,
    like: OutboundFrame,
    told: SideTelemetry,
  ): DerivedMap<TcpPortIntent, XdsResource> {
    const make = (port: TcpPortIntent): XdsResource =>
      this.#listener(port, context, like, () => buildTcpListener(port, like.unknown, told));
    return new DerivedMap(make, nameOf);
  }

  /** Of a gateway, all that it has. */
  *#ownListeners(intent: ProxyIntent): Generator<XdsResource> {
    const { inbound, outbound, gateway, telemetry } = intent;
    const told = telemetry.client;
    const key = `${this.#keyOf(told)}${ipv6Key(intent.hasIpv6)}`;
    if (outbound !== undefined) {
      const rest = `${unclaimedName(outbound.unknown)} ${outbound.strangers?.families} ${key}`;
      yield this.#listener(this.#fixed.outboundTrap, rest, intent, () => buildVirtualOutbound(outbound, told));
    }
    for (const port of (gateway?.httpPorts ?? []).map(withoutRoutes)) {
      yield this.#listener(port, `gateway ${key}`, intent, () => buildGatewayHttpListener(port, told));
    }
    const context = { telemetry: told, secrets: this.#secrets };
    for (const port of (gateway?.tcpPorts ?? []).map(withoutHttpsRoutes)) {
      if (port.chains.length + port.https.length === 0) continue;
      yield this.#listener(port, `gateway ${key}`, intent, () => buildGatewayTcpListener(port, context)!);
    }
    if (inbound === undefined) return;
    const { server } = telemetry;
    const serverKey = `${this.#keyOf(server)}${ipv6Key(intent.hasIpv6)}`;
    yield this.#listener(inbound, serverKey, intent, () => buildVirtualInbound(inbound, this.#secrets, server));
    for (const port of inbound.ports) {
      const { open } = port;
      if (open === undefined) continue;
      const context = { secrets: this.#secrets, telemetry: server };
      yield this.#listener(port, serverKey, intent, () => buildOpenInbound(port, open, context));
    }
  }

  /** `context` has to tell those apart that listen on IPv6. */
  #listener(
    node: object,
    context: string,
    { hasIpv6 }: Pick<ProxyIntent, 'hasIpv6'>,
    build: () => Listener,
  ): XdsResource {
    return this.#cache.get(node, context, LISTENER, () => (hasIpv6 ? onBothFamilies(build()) : build()));
  }

  /** Says all of it in short. */
  #keyOf(telemetry: SideTelemetry): string {
    const key = this.#keys.get(telemetry) ?? hash('sha1', JSON.stringify(telemetry));
    this.#keys.set(telemetry, key);
    return key;
  }

  *#gatewayRoutes(gateway: GatewayIntent | undefined): Generator<XdsResource> {
    const https = gateway?.tcpPorts.flatMap((port) => port.https) ?? [];
    for (const { table } of [...(gateway?.httpPorts ?? []), ...https]) yield this.#routeTables.of(table);
  }
}

/** A later version of what it is made of must not be followed back to this one. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}

function ipv6Key(hasIpv6: true | undefined): string {
  return hasIpv6 ? ' IPv6' : '';
}

const NO_HOSTS: ReadonlyMap<string, VirtualHostIntent> = new Map();

/** The routes come by a resource of their own, so that a listener stays as it is when they change. */
function withoutRoutes<P extends HttpPortIntent>(port: P): P {
  return { ...port, table: { ...port.table, hosts: NO_HOSTS } };
}

function withoutHttpsRoutes(port: GatewayPortIntent): GatewayPortIntent {
  return { ...port, https: port.https.map((chain) => ({ ...chain, table: { ...chain.table, hosts: NO_HOSTS } })) };
}

function byName(resources: Iterable<XdsResource>): ResourceMap {
  const map = new Map<string, XdsResource>();
  for (const resource of resources) map.set(resource.name, resource);
  return map;
}
