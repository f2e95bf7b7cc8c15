// SPDX-License-Identifier: Apache-2.0
// A real Envoy with everything that a proxy gets, on loopback. A PROXY header in front of each connection says which address
// the client dialled, as the redirect does in a pod, so that Envoy itself chooses listener, chain, route, cluster and endpoint.
// Each endpoint of each cluster has an address of its own in 127.0.0.0/8, where an EchoServer answers for all of them.
// A proxy that is given everything has it in its bootstrap; one that may ask for more is served by a real discovery server.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { AnySchema, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import {
  type Cluster,
  Cluster_DiscoveryType,
  Cluster_LbPolicy,
  ClusterSchema,
} from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { Address } from '#gen/envoy/config/core/v3/address_pb.ts';
import type { TransportSocket } from '#gen/envoy/config/core/v3/base_pb.ts';
import { HealthStatus } from '#gen/envoy/config/core/v3/health_check_pb.ts';
import {
  type LocalityLbEndpoints,
  LocalityLbEndpointsSchema,
} from '#gen/envoy/config/endpoint/v3/endpoint_components_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import {
  type FilterChain,
  type ListenerFilter,
  ListenerFilterSchema,
} from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { type Listener, ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { ORIGINAL_DST } from '../../src/envoy/filters/listener-filters.ts';
import { duration, socketAddress } from '../../src/envoy/messages.ts';
import { TYPE_URL, VIRTUAL_INBOUND, VIRTUAL_OUTBOUND } from '../../src/envoy/names.ts';
import type { DesiredState, OfferedState, XdsResource } from '../../src/xds/types.ts';
import { RunningEnvoy } from '../scenarios/running-envoy.ts';
import {
  inlineAllSecrets,
  SecretNames,
  secrets,
  staticBootstrap,
  type WorkloadKeys,
} from '../scenarios/static-bootstrap.ts';
import { MemoryDiscovery } from '../xds/memory-discovery.ts';

/** Whom an address in 127.0.0.0/8 stands for. */
export interface StandIn {
  readonly cluster: string;
  /** `10.1.0.7:9080`; 'original': wherever the client was going. */
  readonly endpoint: string;
}

/** A sidecar has it; a gateway's ports get one. */
const FRONT = VIRTUAL_OUTBOUND;
const NOWHERE = 'nowhere';

export interface ObservedOptions {
  readonly desired: DesiredState;
  /** What it may ask for beyond that. */
  readonly offered?: OfferedState;
  readonly keys: WorkloadKeys;
  /** Port of the EchoServer, or of a relay to it. */
  readonly echoPort: number;
  /** Its endpoints stand in 127.BLOCK.0.0/16; absent: 77. */
  readonly block?: number;
  /** `10.1.0.7:9080`: known to be down. */
  readonly down?: readonly string[];
}

export class ObservedEnvoy {
  readonly #standIns = new Map<string, StandIn>();
  readonly #block: number;
  readonly #down: ReadonlySet<string>;
  #discovery: MemoryDiscovery | undefined;
  #envoy: RunningEnvoy | undefined;
  #ports = new Map<string, number>();

  private constructor({ block = 77, down = [] }: ObservedOptions) {
    this.#block = block;
    this.#down = new Set(down);
  }

  static async start(envoyPath: string, options: ObservedOptions): Promise<ObservedEnvoy> {
    const observed = new ObservedEnvoy(options);
    try {
      const { offered } = options;
      if (offered === undefined || offered.size === 0) await observed.#startGiven(envoyPath, options);
      else await observed.#startServed(envoyPath, { ...options, offered });
      observed.#ports = await observed.#envoy!.listeners();
      return observed;
    } catch (error) {
      await observed.stop();
      throw error;
    }
  }

  async #startGiven(envoyPath: string, { desired, keys, echoPort }: ObservedOptions): Promise<void> {
    const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(desired, keys));
    const resources = bootstrap.staticResources!;
    resources.clusters = resources.clusters.map((cluster) => this.#onLoopback(cluster, echoPort));
    resources.listeners = resources.listeners.filter(hasPort).map(behindFront);
    for (const { filterChains } of resources.listeners) for (const chain of filterChains) lookUpNothing(chain);
    if (!resources.listeners.some(({ name }) => name === FRONT)) resources.listeners.push(front());
    resources.clusters.push(nowhere());
    this.#envoy = await RunningEnvoy.start(envoyPath, bootstrap);
  }

  async #startServed(envoyPath: string, options: ObservedOptions & { offered: OfferedState }): Promise<void> {
    const { desired, offered, keys, echoPort } = options;
    const named = new SecretNames();
    const adapt = (resource: XdsResource) => this.#adapt(resource, { named, echoPort });
    const adaptAll = (all: ReadonlyMap<string, XdsResource>) =>
      new Map([...all].map(([name, resource]) => [name, adapt(resource)]));
    const state = new Map([...desired].map(([typeUrl, all]) => [typeUrl, adaptAll(all)]));
    const offers = new Map(
      [...offered].map(([typeUrl, offer]) => [typeUrl, { ...offer, resources: adaptAll(offer.resources) }]),
    );
    this.#discovery = await MemoryDiscovery.start(state, offers);
    const staticResources = { secrets: secrets(keys, named), clusters: [nowhere()] };
    this.#envoy = await RunningEnvoy.start(envoyPath, create(BootstrapSchema, { staticResources }), {
      also: JSON.stringify(this.#discovery.bootstrap()),
    });
  }

  /** What Envoy refused of what it was served. */
  refusals(): readonly string[] {
    return this.#discovery?.refusals() ?? [];
  }

  /** Where connections begin, with a PROXY header. */
  portOf(direction: 'outbound' | 'inbound' | 'gateway'): number {
    return this.#ports.get(direction === 'inbound' ? VIRTUAL_INBOUND : FRONT)!;
  }

  standIn(address: string): StandIn | undefined {
    return this.#standIns.get(address);
  }

  admin(path: string): Promise<string> {
    return this.#envoy!.admin(path);
  }

  async stop(): Promise<void> {
    await this.#envoy?.stop();
    await this.#discovery?.stop();
  }

  /** Endpoints that come apart stay apart. */
  #adapt(resource: XdsResource, { named, echoPort }: { named: SecretNames; echoPort: number }): XdsResource {
    const { typeUrl, name, value } = resource;
    switch (typeUrl) {
      case TYPE_URL.listener: {
        const listener = fromBinary(ListenerSchema, value);
        inlineAllSecrets(listener, named);
        return { ...resource, value: toBinary(ListenerSchema, behindFront(listener)) };
      }
      case TYPE_URL.cluster: {
        const cluster = fromBinary(ClusterSchema, value);
        inlineAllSecrets(cluster, named);
        return { ...resource, value: toBinary(ClusterSchema, this.#onLoopback(cluster, echoPort)) };
      }
      case TYPE_URL.endpoints: {
        const assignment = fromBinary(ClusterLoadAssignmentSchema, value);
        for (const each of assignment.endpoints) this.#standIn(each, { cluster: name, echoPort });
        return { ...resource, value: toBinary(ClusterLoadAssignmentSchema, assignment) };
      }
      default:
        return resource;
    }
  }

  #addressFor(standIn: StandIn): string {
    const n = this.#standIns.size + 1;
    const address = `127.${this.#block}.${n >> 8}.${n & 255}`;
    this.#standIns.set(address, standIn);
    return address;
  }

  /** How it chooses stays; what it remembers of failures, and of how many there are, goes: pairs are not to disturb one another. */
  #onLoopback(cluster: Cluster, echoPort: number): Cluster {
    const { case: kind, value: type } = cluster.clusterDiscoveryType;
    // What goes to a name that the client says is looked up by nobody here, where no name is anybody's.
    const original = (kind === 'type' && type === Cluster_DiscoveryType.ORIGINAL_DST) || kind === 'clusterType';
    const lookedUp =
      kind === 'type' && (type === Cluster_DiscoveryType.STRICT_DNS || type === Cluster_DiscoveryType.LOGICAL_DNS);
    const isServed = cluster.edsClusterConfig !== undefined;
    const endpoints = original
      ? [
          create(LocalityLbEndpointsSchema, {
            lbEndpoints: [
              {
                hostIdentifier: {
                  case: 'endpoint',
                  value: {
                    address: socketAddress(this.#addressFor({ cluster: cluster.name, endpoint: 'original' }), echoPort),
                  },
                },
              },
            ],
          }),
        ]
      : (cluster.loadAssignment?.endpoints ?? []);
    if (!original) {
      for (const each of endpoints) this.#standIn(each, { cluster: cluster.name, echoPort, lookedUp });
    }
    for (const socket of [cluster.transportSocket, ...cluster.transportSocketMatches.map((m) => m.transportSocket)]) {
      believeAnybody(socket);
    }
    if (kind === 'clusterType') believeAnyName(cluster);
    const { outlierDetection: _, circuitBreakers: __, ...rest } = cluster;
    return create(ClusterSchema, {
      ...rest,
      ...(!isServed && {
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
        loadAssignment: create(ClusterLoadAssignmentSchema, { clusterName: cluster.name, endpoints }),
      }),
      // One process answers for all, on a machine that may be busy.
      connectTimeout: duration(20_000),
      ...(original && { lbPolicy: Cluster_LbPolicy.ROUND_ROBIN, lbConfig: { case: undefined } }),
    });
  }

  #standIn(
    { lbEndpoints }: LocalityLbEndpoints,
    { cluster, echoPort, lookedUp = false }: { cluster: string; echoPort: number; lookedUp?: boolean },
  ): void {
    for (const member of lbEndpoints) {
      if (member.hostIdentifier.case !== 'endpoint') continue;
      const { value } = member.hostIdentifier;
      const endpoint = addressText(value.address?.address);
      if (this.#down.has(endpoint)) member.healthStatus = HealthStatus.UNHEALTHY;
      if (lookedUp && value.hostname === '') value.hostname = endpoint.replace(/:\d+$/, '');
      value.additionalAddresses = [];
      value.address = socketAddress(this.#addressFor({ cluster, endpoint }), echoPort);
    }
  }
}

function addressText(address: Address['address'] | undefined): string {
  if (address?.case === 'pipe') return `unix://${address.value.path}`;
  if (address?.case !== 'socketAddress') throw new Error('an endpoint without an address');
  return `${address.value.address}:${address.value.portSpecifier.value}`;
}

/** Listens where there is room, and hands each connection to the listener of the address that it was meant for. */
function front(): Listener {
  const value = anyPack(
    TcpProxySchema,
    create(TcpProxySchema, { statPrefix: NOWHERE, clusterSpecifier: { case: 'cluster', value: NOWHERE } }),
  );
  return create(ListenerSchema, {
    name: FRONT,
    address: socketAddress('127.0.0.1', 0),
    useOriginalDst: true,
    listenerFilters: [proxyProtocol()],
    filterChains: [
      { filters: [{ name: 'envoy.filters.network.tcp_proxy', configType: { case: 'typedConfig', value } }] },
    ],
  });
}

/** The servers here have one certificate for all. */
function believeAnyName({ typedExtensionProtocolOptions: all }: Cluster): void {
  for (const [name, packed] of Object.entries(all)) {
    const options = anyUnpack(packed, HttpProtocolOptionsSchema);
    if (options?.upstreamHttpProtocolOptions === undefined) continue;
    options.upstreamHttpProtocolOptions.autoSanValidation = false;
    all[name] = anyPack(HttpProtocolOptionsSchema, options);
  }
}

function lookUpNothing(chain: FilterChain): void {
  chain.filters = chain.filters.filter(({ name }) => name !== 'envoy.filters.network.sni_dynamic_forward_proxy');
}

/** Sockets of the file system are dialled by nobody here. */
function hasPort({ address }: Listener): boolean {
  return address?.address.case === 'socketAddress';
}

/** Without a host: what goes there is closed, as where nothing listens. */
function nowhere(): Cluster {
  return create(ClusterSchema, {
    name: NOWHERE,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: create(ClusterLoadAssignmentSchema, { clusterName: NOWHERE }),
  });
}

/** All but those that redirected connections come to first bind no port. */
function behindFront(listener: Listener): Listener {
  const isFirst = listener.name === VIRTUAL_INBOUND || listener.name === FRONT;
  const filters = listener.listenerFilters.filter(({ name }) => name !== ORIGINAL_DST);
  return create(ListenerSchema, {
    ...listener,
    ...(isFirst && { address: socketAddress('127.0.0.1', 0) }),
    bindToPort: isFirst,
    listenerFilters: isFirst ? [proxyProtocol(), ...filters] : filters,
  });
}

/** Its messages are none of ours, and its defaults do. */
function proxyProtocol(): ListenerFilter {
  const typeUrl = 'type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol';
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.proxy_protocol',
    configType: { case: 'typedConfig', value: create(AnySchema, { typeUrl }) },
  });
}

/** One server stands for everybody: whose certificate it has is no matter here, and what it is asked for is. */
function believeAnybody(socket: TransportSocket | undefined): void {
  if (socket?.configType.case !== 'typedConfig') return;
  const wrapper = anyUnpack(socket.configType.value, ProxyProtocolUpstreamTransportSchema);
  if (wrapper !== undefined) {
    believeAnybody(wrapper.transportSocket);
    socket.configType.value = anyPack(ProxyProtocolUpstreamTransportSchema, wrapper);
    return;
  }
  const context = anyUnpack(socket.configType.value, UpstreamTlsContextSchema);
  if (context?.commonTlsContext === undefined) return;
  context.commonTlsContext.validationContextType = { case: undefined };
  socket.configType.value = anyPack(UpstreamTlsContextSchema, context);
}
