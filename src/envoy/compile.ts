// SPDX-License-Identifier: Apache-2.0
// ProxyIntent -> Envoy resources, in one explicit order.
import type { Cluster } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { ConfigSource } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import { type ClusterLoadAssignment, ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { type RouteConfiguration, RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import type { DestinationIntent, EndpointIntent, ProxyIntent } from '../intent/types.ts';
import type { ControlPlaneEndpoint } from '../xds/envoy-client.ts';
import type { DesiredState, XdsResource } from '../xds/types.ts';
import { buildBlackHole, buildCluster, buildInboundCluster, buildPassthrough } from './clusters.ts';
import { buildLoadAssignment } from './endpoints.ts';
import { buildGatewayHttpListener, buildSniListener } from './listeners-gateway.ts';
import { buildVirtualInbound } from './listeners-inbound.ts';
import { buildHttpListener, buildTcpListener, buildVirtualOutbound } from './listeners-outbound.ts';
import { destinationName, TYPE_URL } from './names.ts';
import { ResourceCache } from './resource-cache.ts';
import { buildRouteConfiguration } from './routes.ts';
import { secretSource } from './tls.ts';

const CLUSTER = { typeUrl: TYPE_URL.cluster, schema: ClusterSchema, name: (m: Cluster) => m.name };
const ENDPOINTS = {
  typeUrl: TYPE_URL.endpoints,
  schema: ClusterLoadAssignmentSchema,
  name: (m: ClusterLoadAssignment) => m.clusterName,
};
const LISTENER = { typeUrl: TYPE_URL.listener, schema: ListenerSchema, name: (m: Listener) => m.name };
const ROUTES = { typeUrl: TYPE_URL.routes, schema: RouteConfigurationSchema, name: (m: RouteConfiguration) => m.name };

/** Compiles intents; keeps what it made. One for each process: its proxies share resources through it. */
export class EnvoyCompiler {
  readonly #cache = new ResourceCache();
  readonly #secrets: ConfigSource;
  /** Nodes for resources that no intent node stands for. */
  readonly #fixed = { passthrough: {}, blackHole: {}, inboundRest: {}, outboundTrap: {} };

  /** `secrets`: where proxies get their keys, if not at SDS_ADDRESS. */
  constructor(options: { secrets?: ControlPlaneEndpoint } = {}) {
    this.#secrets = secretSource(options.secrets);
  }

  /** Messages built and serialized so far: what a change really cost. */
  get builds(): number {
    return this.#cache.builds;
  }

  /** `endpointsOf` is asked for every destination that discovers its endpoints by us; equal answers must be one array. */
  compile(
    intent: ProxyIntent,
    endpointsOf: (destination: DestinationIntent) => readonly EndpointIntent[],
  ): DesiredState {
    return new Map([
      [TYPE_URL.cluster, byName(this.#clusters(intent))],
      [TYPE_URL.endpoints, byName(this.#endpoints(intent, endpointsOf))],
      [TYPE_URL.listener, byName(this.#listeners(intent))],
      [TYPE_URL.routes, byName(this.#routes(intent))],
    ]);
  }

  *#clusters(intent: ProxyIntent): Generator<XdsResource> {
    for (const destination of intent.destinations) {
      yield this.#cache.get(destination, '', CLUSTER, () => buildCluster(destination, this.#secrets));
    }
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

  *#endpoints(
    intent: ProxyIntent,
    endpointsOf: (destination: DestinationIntent) => readonly EndpointIntent[],
  ): Generator<XdsResource> {
    for (const destination of intent.destinations) {
      if (destination.discovery.kind !== 'endpoints') continue;
      const endpoints = endpointsOf(destination);
      const name = destinationName(destination.ref, destination.use);
      yield this.#cache.get(endpoints, name, ENDPOINTS, () => buildLoadAssignment(name, endpoints));
    }
  }

  *#listeners(intent: ProxyIntent): Generator<XdsResource> {
    const log = intent.accessLogFile;
    const { outbound, inbound, gateway } = intent;
    if (outbound !== undefined) {
      const { unknown } = outbound;
      const rest = `${unknown} ${log}`;
      yield this.#cache.get(this.#fixed.outboundTrap, rest, LISTENER, () => buildVirtualOutbound(unknown, log));
      for (const { port, table } of outbound.httpPorts) {
        // The routes of the table come by a resource of their own; only its name is in the listener.
        const node = { port, table: { name: table.name, hosts: [], otherwise: table.otherwise } };
        yield this.#cache.get(node, log, LISTENER, () => buildHttpListener(node, log));
      }
      for (const port of outbound.tcpPorts) {
        yield this.#cache.get(port, rest, LISTENER, () => buildTcpListener(port, unknown, log));
      }
    }
    if (inbound !== undefined) {
      yield this.#cache.get(inbound, log, LISTENER, () => buildVirtualInbound(inbound, this.#secrets, log));
    }
    for (const { port, table } of gateway?.httpPorts ?? []) {
      const node = { port, table: { name: table.name, hosts: [], otherwise: table.otherwise } };
      yield this.#cache.get(node, `gateway ${log}`, LISTENER, () => buildGatewayHttpListener(node, log));
    }
    for (const port of gateway?.sniPorts ?? []) {
      if (port.chains.length === 0) continue;
      yield this.#cache.get(port, `gateway ${log}`, LISTENER, () => buildSniListener(port, log)!);
    }
  }

  *#routes(intent: ProxyIntent): Generator<XdsResource> {
    for (const { table } of [...(intent.outbound?.httpPorts ?? []), ...(intent.gateway?.httpPorts ?? [])]) {
      yield this.#cache.get(table, '', ROUTES, () => buildRouteConfiguration(table));
    }
  }
}

function byName(resources: Iterable<XdsResource>): ReadonlyMap<string, XdsResource> {
  const map = new Map<string, XdsResource>();
  for (const resource of resources) map.set(resource.name, resource);
  return map;
}
