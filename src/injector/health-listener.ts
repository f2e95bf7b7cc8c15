// SPDX-License-Identifier: Apache-2.0
// The listener for the kubelet, and the clusters behind it: whether Envoy is ready, and how the application is.
import type { AppProbe } from './app-probes.ts';
import { INBOUND_SOURCE_V6 } from './redirect-rules.ts';

type Json = Record<string, unknown>;

const EXTENSIONS = 'type.googleapis.com/envoy.extensions';
const ROUTER = `${EXTENSIONS}.filters.http.router.v3.Router`;
const MANAGER = `${EXTENSIONS}.filters.network.http_connection_manager.v3.HttpConnectionManager`;
const HEALTH_CHECK = `${EXTENSIONS}.filters.http.health_check.v3.HealthCheck`;
const TLS_CONTEXT = `${EXTENSIONS}.transport_sockets.tls.v3.UpstreamTlsContext`;
const HTTP_OPTIONS = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';
/** How often Envoy looks at a port that the kubelet asks about. */
const CHECK_INTERVAL = '1s';
const STARTING_INTERVAL = '0.2s';

/** GET of exactly this path; the rest of what is behind the cluster (admin has /quitquitquit) is nobody's business. */
export function passOn(path: string, cluster: string, upstreamPath: string): Json {
  return { match: { path, headers: [exactly(':method', 'GET')] }, route: { cluster, prefix_rewrite: upstreamPath } };
}

export function probeRoutes(probes: readonly AppProbe[]): Json[] {
  return probes.flatMap((probe) => {
    if (probe.check.kind !== 'http') return [];
    const [path = ''] = probe.path.split('?', 1);
    const { match, route } = passOn(path, clusterName(probe), probe.check.appPath) as { match: Json; route: Json };
    // A path's match does not look at the query; this one does.
    const headers = [...(match['headers'] as Json[]), exactly(':path', probe.path)];
    return [{ match: { ...match, headers }, route }];
  });
}

/** Answers of Envoy's own: 200 while its check of the application's port passes, 503 otherwise. */
export function probeFilters(probes: readonly AppProbe[]): Json[] {
  return probes.flatMap((probe) => {
    if (probe.check.kind === 'http') return [];
    return [
      {
        name: 'envoy.filters.http.health_check',
        typed_config: {
          '@type': HEALTH_CHECK,
          pass_through_mode: false,
          headers: [exactly(':path', probe.path), exactly(':method', 'GET')],
          cluster_min_healthy_percentages: { [clusterName(probe)]: { value: 100 } },
        },
      },
    ];
  });
}

/**
 * By the pod's address, as the kubelet would have come, and with its patience with certificates. From 127.0.0.6, or `::6`
 * where that address is of IPv6, which the redirect rules know as the proxy on its way to the application.
 */
export function probeClusters(probes: readonly AppProbe[], podIp: string, hasIpv6: boolean): Json[] {
  const distinct = new Map(probes.map((probe) => [clusterName(probe), probe]));
  return [...distinct].map(([name, { appPort, check }]) => {
    const address = { socket_address: { address: podIp, port_value: appPort } };
    return {
      name,
      type: 'STATIC',
      connect_timeout: '1s',
      load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
      upstream_bind_config: {
        source_address: { address: '127.0.0.6', port_value: 0 },
        // Envoy does not start with it on a kernel that has no IPv6.
        ...(hasIpv6 && { extra_source_addresses: [{ address: { address: INBOUND_SOURCE_V6, port_value: 0 } }] }),
      },
      ...checkOf(check),
    };
  });
}

function checkOf(check: AppProbe['check']): Json {
  switch (check.kind) {
    case 'http':
      return check.tls
        ? { transport_socket: { name: 'envoy.transport_sockets.tls', typed_config: { '@type': TLS_CONTEXT } } }
        : {};
    case 'tcp':
      return { health_checks: [{ ...timing(check.timeoutSeconds), tcp_health_check: {} }] };
    case 'grpc': {
      const http2 = { explicit_http_config: { http2_protocol_options: {} } };
      return {
        health_checks: [{ ...timing(check.timeoutSeconds), grpc_health_check: { service_name: check.service } }],
        typed_extension_protocol_options: {
          [HTTP_OPTIONS]: { '@type': `type.googleapis.com/${HTTP_OPTIONS}`, ...http2 },
        },
      };
    }
  }
}

/** Every result counts: how many make a verdict is the kubelet's to say. No traffic is no reason to look less often. */
function timing(timeoutSeconds: number): Json {
  return {
    timeout: `${timeoutSeconds}s`,
    interval: CHECK_INTERVAL,
    no_traffic_interval: STARTING_INTERVAL,
    no_traffic_healthy_interval: CHECK_INTERVAL,
    unhealthy_interval: STARTING_INTERVAL,
    unhealthy_threshold: 1,
    healthy_threshold: 1,
  };
}

/** Those that ask the same share a cluster. */
function clusterName({ appPort, check }: AppProbe): string {
  switch (check.kind) {
    case 'http':
      return `probe-${check.tls ? 'https' : 'http'}-${appPort}`;
    case 'tcp':
      return `probe-tcp-${appPort}-${check.timeoutSeconds}s`;
    case 'grpc':
      return `probe-grpc-${appPort}-${check.timeoutSeconds}s-${check.service}`;
  }
}

function exactly(name: string, value: string): Json {
  return { name, string_match: { exact: value } };
}

export interface HttpListenerOptions {
  readonly name: string;
  readonly port: number;
  readonly podIp: string;
  readonly routes: readonly Json[];
  readonly filters?: readonly Json[];
}

/**
 * At every IPv4 address, and at the pod's own, which may be one of IPv6. Nobody knows that before the pod is there, and `::`
 * cannot be had where the kernel has no IPv6. An address that is not ready to be listened at (IPv6 looks for
 * duplicates first) must not end Envoy.
 */
export function httpListener({ name, port, podIp, routes, filters = [] }: HttpListenerOptions): Json {
  const manager = {
    '@type': MANAGER,
    stat_prefix: name,
    normalize_path: true,
    route_config: { virtual_hosts: [{ name, domains: ['*'], routes }] },
    http_filters: [...filters, { name: 'envoy.filters.http.router', typed_config: { '@type': ROUTER } }],
  };
  return {
    name,
    address: { socket_address: { address: '0.0.0.0', port_value: port } },
    additional_addresses: [{ address: { socket_address: { address: podIp, port_value: port } } }],
    freebind: true,
    filter_chains: [{ filters: [{ name: 'envoy.filters.network.http_connection_manager', typed_config: manager }] }],
  };
}
