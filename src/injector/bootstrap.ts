// SPDX-License-Identifier: Apache-2.0
// The whole of what an Envoy must know before it can ask the control plane for the rest.
import { DEFAULT_CONFIG_DELIVERY, DELIVERY_METADATA } from '../api/config-delivery.ts';
import {
  adsCluster,
  adsGrpcService,
  type ControlPlaneEndpoint,
  controlPlaneEndpoint,
  SDS_ADDRESS,
} from '../xds/envoy-client.ts';
import type { AppProbe } from './app-probes.ts';
import { httpListener, passOn, probeClusters, probeFilters, probeRoutes } from './health-listener.ts';
import { OTLP_INTERVAL, otlpCluster, otlpSink } from './otlp-metrics.ts';
import { statsNamespace } from './stats-namespace.ts';

export interface BootstrapOptions {
  readonly kind: 'sidecar' | 'gateway';
  /** May be a placeholder that the kubelet expands, such as `$(POD_NAME)`; so may every string here. */
  readonly podName: string;
  readonly podIp: string;
  /** Pods of the cluster may have IPv6 addresses. */
  readonly hasIpv6?: true | undefined;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** The Kubernetes cluster's name in the mesh. */
  readonly clusterId: string;
  /** The service that it counts as; its account's name where nobody says. */
  readonly service?: string;
  /** '' when the mesh has only one network. */
  readonly network: string;
  /** More of the node's metadata, as the container's environment has it: `NETWORK` -> `$(ISTIO_META_NETWORK)`. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly dnsDomain: string;
  readonly ads: ControlPlaneEndpoint;
  /** Where keys come from: at SDS_ADDRESS unless given. */
  readonly sds?: ControlPlaneEndpoint;
  /** Path of the Unix socket on which Envoy's admin interface listens: no port, so that no neighbour reaches it. */
  readonly adminPipe: string;
  /** What the redirect rules let pass: Envoy's uid, or (where all users are one) the mark on its sockets. */
  readonly excludeOutboundBy: 'uid' | 'mark';
  /** Probes of the application that come in by the health port. */
  readonly probes?: readonly AppProbe[];
  /** Which statistics there are; all where absent. Those of the mesh, and those that the proxy itself goes by, are always there. */
  readonly stats?: StatsMatcher;
  /** `host:port` of the collector that is sent Istio's metrics by OTLP. */
  readonly otlpMetrics?: string;
  /** More of Envoy's runtime. */
  readonly runtime?: Readonly<Record<string, string>>;
  readonly healthPort?: number;
  readonly metricsPort?: number;
}

/** SO_MARK that the redirect rules let pass; the same number as Envoy's uid, so that one figure is to remember. */
export const PROXY_MARK = 1337;
export const HEALTH_PORT = 15021;
export const METRICS_PORT = 15090;
export const HEALTH_PATH = '/healthz/ready';

type Json = Record<string, unknown>;

/** envoy.config.bootstrap.v3.Bootstrap as proto3 JSON. */
export function buildBootstrap(options: BootstrapOptions): Json {
  const { probes = [] } = options;
  return {
    node: buildNode(options),
    admin: { address: { pipe: { path: options.adminPipe, mode: 0o600 } } },
    bootstrap_extensions: [statsNamespace()],
    // Label sets that have not been counted for two of these are forgotten.
    stats_eviction_interval: '600s',
    dynamic_resources: {
      ads_config: {
        api_type: 'DELTA_GRPC',
        transport_api_version: 'V3',
        set_node_on_first_message_only: true,
        grpc_services: [adsGrpcService()],
      },
      // No timeout: Envoy stays unready until the control plane has answered, instead of serving nothing.
      cds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
      lds_config: { ads: {}, initial_fetch_timeout: '0s', resource_api_version: 'V3' },
    },
    static_resources: {
      clusters: [
        adminCluster(options.adminPipe),
        ...probeClusters(probes, options.podIp, options.hasIpv6 === true),
        adsCluster(options.ads, options.sds ?? controlPlaneEndpoint(SDS_ADDRESS)),
        ...(options.otlpMetrics === undefined ? [] : [otlpCluster(options.otlpMetrics)]),
      ],
      listeners: [
        httpListener({
          name: 'health',
          port: options.healthPort ?? HEALTH_PORT,
          podIp: options.podIp,
          routes: [passOn(HEALTH_PATH, ADMIN_CLUSTER, '/ready'), ...probeRoutes(probes)],
          filters: probeFilters(probes),
        }),
        httpListener({
          name: 'metrics',
          port: options.metricsPort ?? METRICS_PORT,
          podIp: options.podIp,
          routes: [passOn('/stats/prometheus', ADMIN_CLUSTER, '/stats/prometheus')],
        }),
      ],
    },
    overload_manager: { resource_monitors: [connectionLimit()] },
    memory_allocator_manager: memoryAllocator(options.metadata?.[DELIVERY_METADATA]),
    watchdogs: { main_thread_watchdog: WATCHDOG, worker_watchdog: WATCHDOG },
    layered_runtime: {
      layers: [
        { name: 'isthmus', static_layer: RUNTIME },
        ...(Object.keys(options.runtime ?? {}).length === 0 ? [] : [{ name: 'own', static_layer: options.runtime }]),
      ],
    },
    ...(options.otlpMetrics !== undefined && { stats_sinks: [otlpSink()], stats_flush_interval: OTLP_INTERVAL }),
    ...(options.stats && { stats_config: statsConfig(options.stats) }),
    cluster_manager: { upstream_bind_config: { socket_options: socketOptions(options) } },
  };
}

export interface StatsMatcher {
  readonly inclusionPrefixes: readonly string[];
  readonly inclusionSuffixes: readonly string[];
  readonly inclusionRegexps: readonly string[];
}

/** Istio's metrics, what draining goes by (`drain.ts`), and whether the configuration comes. */
const NEEDED_STATS = ['wasmcustom.', 'listener.', 'listener_manager.', 'cluster_manager.', 'server.', 'control_plane.'];

function statsConfig({ inclusionPrefixes, inclusionSuffixes, inclusionRegexps }: StatsMatcher): Json {
  const patterns = [
    ...[...NEEDED_STATS, ...inclusionPrefixes].map((prefix) => ({ prefix })),
    ...inclusionSuffixes.map((suffix) => ({ suffix })),
    ...inclusionRegexps.map((regex) => ({ safe_regex: { regex } })),
  ];
  return { stats_matcher: { inclusion_list: { patterns } } };
}

/** By default Envoy refuses, with the whole answer, an expression of more than 100 RE2 instructions: `(a|b){30}`. */
const RUNTIME: Json = { 're2.max_program_size.error_level': 32768, 're2.max_program_size.warn_level': 32768 };

/** Seldom, since each time wakes an idle proxy. */
const MEMORY_RELEASE: Json = { bytes_to_release: String(64 << 20), memory_release_interval: '10s' };

/** Less than any proxy needs: see below. */
const SOFT_MEMORY_LIMIT_BYTES = 16 << 20;

/**
 * What a large configuration took while it came, Envoy would keep for ever: a third of its memory with a thousand virtual
 * hosts. The release at intervals leaves pages of which a part is used; a limit that is always exceeded makes Envoy give them
 * back too, which costs an eighth more CPU with bodies of megabytes. So only those that are to be small have it.
 *
 * @param delivery what the node's metadata says of it
 */
export function memoryAllocator(delivery: string = DEFAULT_CONFIG_DELIVERY): Json {
  if (delivery === 'FULL') return MEMORY_RELEASE;
  return { ...MEMORY_RELEASE, soft_memory_limit_bytes: String(SOFT_MEMORY_LIMIT_BYTES) };
}

/**
 * They count stalls and do nothing about them. Envoy's own 200 ms wake every thread of an idle proxy ten times a second.
 */
const WATCHDOG: Json = { miss_timeout: '5s', megamiss_timeout: '10s' };

/** Far above what one proxy can serve: it keeps a flood from taking all the memory, and Envoy from warning of none. */
function connectionLimit(): Json {
  const config = 'envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig';
  return {
    name: 'envoy.resource_monitors.global_downstream_max_connections',
    typed_config: { '@type': `type.googleapis.com/${config}`, max_active_downstream_connections: '100000' },
  };
}

function buildNode(options: BootstrapOptions): Json {
  const { podIp, podName, namespace, dnsDomain, kind } = options;
  const role = kind === 'gateway' ? 'router' : 'sidecar';
  return {
    id: `${role}~${podIp}~${podName}.${namespace}~${namespace}.svc.${dnsDomain}`,
    // What traces call it.
    cluster: `${options.service ?? options.serviceAccount}.${namespace}`,
    metadata: {
      NAME: podName,
      NAMESPACE: namespace,
      SERVICE_ACCOUNT: options.serviceAccount,
      CLUSTER_ID: options.clusterId,
      ...(options.network === '' ? {} : { NETWORK: options.network }),
      ...options.metadata,
      ...(options.excludeOutboundBy === 'mark' ? { SO_MARK: String(PROXY_MARK) } : {}),
    },
  };
}

/**
 * Of every connection that Envoy opens, but of clusters with a bind configuration of their own. A peer that vanished
 * without a word is given up in seconds: the kernel alone would repeat unacknowledged bytes for a quarter of an hour.
 */
function socketOptions({ excludeOutboundBy }: BootstrapOptions): Json[] {
  const [SOL_SOCKET, IPPROTO_TCP] = [1, 6];
  const options = [
    socketOption('SO_KEEPALIVE', SOL_SOCKET, 9, 1),
    socketOption('TCP_KEEPIDLE', IPPROTO_TCP, 4, 15),
    socketOption('TCP_KEEPINTVL', IPPROTO_TCP, 5, 5),
    socketOption('TCP_USER_TIMEOUT', IPPROTO_TCP, 18, 10_000),
  ];
  // So that the redirect rules see it. Needs CAP_NET_ADMIN.
  return excludeOutboundBy === 'mark' ? [socketOption('SO_MARK', SOL_SOCKET, 36, PROXY_MARK), ...options] : options;
}

/** Set before the socket connects. */
function socketOption(description: string, level: number, name: number, value: number): Json {
  return { description, level: `${level}`, name: `${name}`, int_value: `${value}`, state: 'STATE_PREBIND' };
}

const ADMIN_CLUSTER = 'envoy-admin';

function adminCluster(pipe: string): Json {
  return {
    name: ADMIN_CLUSTER,
    type: 'STATIC',
    connect_timeout: '1s',
    // A Unix socket knows no options of TCP, and fails with them.
    upstream_bind_config: {},
    load_assignment: {
      cluster_name: ADMIN_CLUSTER,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { pipe: { path: pipe } } } }] }],
    },
  };
}
