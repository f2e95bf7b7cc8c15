// SPDX-License-Identifier: Apache-2.0
// ProxyIntent -> Envoy resources, in one explicit order.
import { hash } from 'node:crypto';
import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { IdentityMemo } from '../intent/identity-memo.ts';
import type {
  DestinationIntent,
  EndpointIntent,
  GatewayPortIntent,
  HttpPortIntent,
  OnDemand,
  OutboundIntent,
  ProxyIntent,
  SideTelemetry,
} from '../intent/types.ts';
import type { DesiredState, Offer, OfferedState, XdsResource } from '../xds/types.ts';
import { buildBlackHole, buildCluster, buildInboundCluster, buildPassthrough } from './clusters.ts';
import { buildLoadAssignment } from './endpoints.ts';
import { layered } from './layered-map.ts';
import { buildGatewayHttpListener, buildGatewayTcpListener } from './listeners-gateway.ts';
import { buildVirtualInbound } from './listeners-inbound.ts';
import { buildHttpListener, buildTcpListener, buildVirtualOutbound } from './listeners-outbound.ts';
import { destinationName, TYPE_URL } from './names.ts';
import {
  destinationsNamedBy,
  divideHosts,
  hostResources,
  onDemandTables,
  standInCluster,
  unaskedDestinations,
} from './on-demand.ts';
import { ResourceCache } from './resource-cache.ts';
import { buildVirtualHost, encodeRouteConfiguration } from './routes.ts';
import { type SecretSource, secretSource } from './tls.ts';

const CLUSTER = { typeUrl: TYPE_URL.cluster, schema: ClusterSchema, name: (m: Cluster) => m.name };
const ENDPOINTS = {
  typeUrl: TYPE_URL.endpoints,
  schema: ClusterLoadAssignmentSchema,
  name: (m: ClusterLoadAssignment) => m.clusterName,
};
const LISTENER = { typeUrl: TYPE_URL.listener, schema: ListenerSchema, name: (m: Listener) => m.name };

export interface EndpointLookup {
  /** The same objects while no endpoint of any service has changed, and no way to one. */
  readonly versions: readonly object[];
  /** Equal for proxies that reach the same endpoints in the same way. */
  readonly scope: string;
  /** Asked for every destination whose endpoints come from us; equal answers must be one array. */
  of(destination: DestinationIntent): readonly EndpointIntent[];
}

/** Compiles intents; keeps what it made. One for each process: its proxies share resources through it. */
export class EnvoyCompiler {
  readonly #cache = new ResourceCache();
  readonly #maps = new IdentityMemo<ReadonlyMap<string, XdsResource>>();
  readonly #keys = new WeakMap<SideTelemetry, string>();
  readonly #hosts = new IdentityMemo<ReturnType<typeof divideHosts>>();
  readonly #offers = new WeakMap<ReadonlyMap<string, XdsResource>, Offer>();
  readonly #secrets: ConfigSource;
  /** Nodes for resources that no intent node stands for. */
  readonly #fixed = { passthrough: {}, blackHole: {}, inboundRest: {}, outboundTrap: {} };

  /** `secrets`: where proxies get their keys, if not at SDS_ADDRESS. */
  constructor(options: { secrets?: SecretSource } = {}) {
    this.#secrets = secretSource(options.secrets);
  }

  /** Messages built and serialized so far: what a change really cost. */
  get builds(): number {
    return this.#cache.builds;
  }

  compile(intent: ProxyIntent, endpoints: EndpointLookup): DesiredState {
    const { destinations, outbound } = intent;
    const shared = outbound ?? intent;
    return new Map([
      [
        TYPE_URL.cluster,
        layered(
          this.#maps.get([destinations], 'clusters', () => byName(this.#destinationClusters(destinations))),
          byName(this.#ownClusters(intent)),
        ),
      ],
      [TYPE_URL.endpoints, this.#endpointMap(destinations, endpoints)],
      [
        TYPE_URL.listener,
        layered(
          this.#maps.get([shared, intent.telemetry.client], 'listeners', () => byName(this.#sharedListeners(intent))),
          byName(this.#ownListeners(intent)),
        ),
      ],
      [TYPE_URL.routes, this.#maps.get([shared], 'routes', () => byName(this.#routes(intent)))],
    ]);
  }

  /** The same for a sidecar that fetches what a request needs: what it is pushed, and what it may ask for. */
  compileOnDemand(
    intent: ProxyIntent,
    outbound: OutboundIntent,
    onDemand: OnDemand,
    endpoints: EndpointLookup,
  ): { readonly desired: DesiredState; readonly offered: OfferedState } {
    const { destinations, telemetry } = intent;
    const clusters = this.#maps.get([destinations], 'clusters', () => byName(this.#destinationClusters(destinations)));
    const listeners = this.#maps.get([outbound, telemetry.client], `listeners ${onDemand}`, () =>
      byName(this.#sharedListeners(intent)),
    );
    const ownListeners = byName(this.#ownListeners(intent));
    const pushed = this.#maps.get([destinations, outbound, listeners], 'pushed', () => {
      const names = [...unaskedDestinations(destinations, outbound), ...destinationsNamedBy(listeners.values())];
      return byName(names.flatMap((name) => clusters.get(name) ?? []));
    });
    const own = [...destinationsNamedBy(ownListeners.values())].flatMap((name) => clusters.get(name) ?? []);
    const hosts = this.#hosts.get([outbound], onDemand, () => {
      const perTable = outbound.httpPorts.map(({ table }) =>
        this.#maps.get([table], 'virtual hosts', () => byName(hostResources(table, this.#cache))),
      );
      return divideHosts(outbound, byName(perTable.flatMap((map) => [...map.values()])), onDemand);
    });
    const desired = new Map([
      [
        TYPE_URL.cluster,
        layered(pushed, byName([...this.#ownClusters(intent), ...own.filter(({ name }) => !pushed.has(name))])),
      ],
      [TYPE_URL.endpoints, this.#endpointMap(destinations, endpoints)],
      [TYPE_URL.listener, layered(listeners, ownListeners)],
      [
        TYPE_URL.routes,
        this.#maps.get([outbound], `routes ${onDemand}`, () => byName(onDemandTables(outbound, onDemand, this.#cache))),
      ],
      [TYPE_URL.virtualHost, hosts.pushed],
    ]);
    const offered = new Map([
      [TYPE_URL.cluster, this.#clusterOffer(clusters)],
      [TYPE_URL.virtualHost, hosts.offer],
    ]);
    return { desired, offered };
  }

  #clusterOffer(clusters: ReadonlyMap<string, XdsResource>): Offer {
    const standIn = (name: string) => standInCluster(name, this.#cache);
    const known = this.#offers.get(clusters) ?? { resources: clusters, standIn };
    this.#offers.set(clusters, known);
    return known;
  }

  #endpointMap(
    destinations: readonly DestinationIntent[],
    endpoints: EndpointLookup,
  ): ReadonlyMap<string, XdsResource> {
    return this.#maps.get([destinations, ...endpoints.versions], `endpoints ${endpoints.scope}`, () =>
      byName(this.#endpoints(destinations, endpoints)),
    );
  }

  *#destinationClusters(destinations: readonly DestinationIntent[]): Generator<XdsResource> {
    for (const destination of destinations) {
      yield this.#cache.get(destination, '', CLUSTER, () => buildCluster(destination, this.#secrets));
    }
  }

  *#ownClusters(intent: ProxyIntent): Generator<XdsResource> {
    if (intent.kind === 'gateway') return;
    yield this.#cache.get(this.#fixed.passthrough, 'passthrough', CLUSTER, () => buildPassthrough(10_000));
    yield this.#cache.get(this.#fixed.blackHole, 'black hole', CLUSTER, buildBlackHole);
    const mark = intent.upstreamMark;
    for (const port of intent.inbound?.ports ?? []) {
      yield this.#cache.get(port, `inbound ${mark}`, CLUSTER, () => buildInboundCluster(port, mark));
    }
    yield this.#cache.get(this.#fixed.inboundRest, `inbound ${mark}`, CLUSTER, () =>
      buildInboundCluster(undefined, mark),
    );
  }

  *#endpoints(destinations: readonly DestinationIntent[], lookup: EndpointLookup): Generator<XdsResource> {
    for (const destination of destinations) {
      if (destination.discovery.kind !== 'endpoints') continue;
      const endpoints = lookup.of(destination);
      const name = destinationName(destination.ref, destination.use);
      yield this.#cache.get(endpoints, name, ENDPOINTS, () => buildLoadAssignment(name, endpoints));
    }
  }

  /** Listeners that proxies with the same outbound intent have in common; of a gateway, all that it has. */
  *#sharedListeners(intent: ProxyIntent): Generator<XdsResource> {
    const { outbound, gateway, telemetry, onDemand } = intent;
    const told = telemetry.client;
    const key = this.#keyOf(told);
    const fetching = onDemand === undefined ? '' : ` ${onDemand}`;
    if (outbound !== undefined) {
      const { unknown } = outbound;
      const rest = `${unknown} ${key}`;
      yield this.#cache.get(this.#fixed.outboundTrap, rest, LISTENER, () => buildVirtualOutbound(unknown, told));
      for (const port of outbound.httpPorts.map(withoutRoutes)) {
        const context = `${rest} ${outbound.detectionTimeoutMs}`;
        yield this.#cache.get(port, `${context}${fetching}`, LISTENER, () =>
          buildHttpListener(port, outbound, told, onDemand),
        );
      }
      for (const port of outbound.tcpPorts) {
        yield this.#cache.get(port, rest, LISTENER, () => buildTcpListener(port, unknown, told));
      }
    }
    for (const port of (gateway?.httpPorts ?? []).map(withoutRoutes)) {
      yield this.#cache.get(port, `gateway ${key}`, LISTENER, () => buildGatewayHttpListener(port, told));
    }
    const context = { telemetry: told, secrets: this.#secrets };
    for (const port of (gateway?.tcpPorts ?? []).map(withoutHttpsRoutes)) {
      if (port.chains.length + port.https.length === 0) continue;
      yield this.#cache.get(port, `gateway ${key}`, LISTENER, () => buildGatewayTcpListener(port, context)!);
    }
  }

  *#ownListeners(intent: ProxyIntent): Generator<XdsResource> {
    const { inbound, telemetry } = intent;
    if (inbound === undefined) return;
    const told = telemetry.server;
    yield this.#cache.get(inbound, this.#keyOf(told), LISTENER, () =>
      buildVirtualInbound(inbound, this.#secrets, told),
    );
  }

  /** Says all of it in short. */
  #keyOf(telemetry: SideTelemetry): string {
    const key = this.#keys.get(telemetry) ?? hash('sha1', JSON.stringify(telemetry));
    this.#keys.set(telemetry, key);
    return key;
  }

  *#routes(intent: ProxyIntent): Generator<XdsResource> {
    const { outbound, gateway } = intent;
    const https = gateway?.tcpPorts.flatMap((port) => port.https) ?? [];
    for (const { table } of [...(outbound?.httpPorts ?? []), ...(gateway?.httpPorts ?? []), ...https]) {
      yield this.#cache.assembled(table, TYPE_URL.routes, table.name, () =>
        encodeRouteConfiguration(table, (host) => this.#cache.part(host, buildVirtualHost)),
      );
    }
  }
}

/** The routes come by a resource of their own, so that a listener stays as it is when they change. */
function withoutRoutes<P extends HttpPortIntent>(port: P): P {
  return { ...port, table: { ...port.table, hosts: [] } };
}

function withoutHttpsRoutes(port: GatewayPortIntent): GatewayPortIntent {
  return { ...port, https: port.https.map((chain) => ({ ...chain, table: { ...chain.table, hosts: [] } })) };
}

function byName(resources: Iterable<XdsResource>): ReadonlyMap<string, XdsResource> {
  const map = new Map<string, XdsResource>();
  for (const resource of resources) map.set(resource.name, resource);
  return map;
}
