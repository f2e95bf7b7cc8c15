// SPDX-License-Identifier: Apache-2.0
// How an Envoy is told to reach this server: shared by the bootstrap (injector/) and by every TLS context (envoy/), so
// that all of them ask the same address with the same credentials. Envoy shares one SDS subscription among equal
// config sources, hence one function.

/** ADS; SANs of the control plane's certificate hold its host. */
export const ADS_ADDRESS = 'istio-pilot.istio-system.svc:15012';
/** Names by which ADS is called. A gateway passes them on from anywhere, where other clusters' proxies are to come. */
export const PILOT_NAMES = ['istio-pilot.istio-system', 'istio-pilot.istio-system.svc'] as const;
/** SDS has an address of its own: a cluster may take its configuration from elsewhere, but its keys from its own CA. */
export const SDS_ADDRESS = 'istio-citadel.istio-system.svc:15012';
/** SDS name of the workload's own certificate and key. */
export const WORKLOAD_SECRET = 'default';
/** SDS name of the validation context: the roots of the mesh. */
export const ROOT_SECRET = 'ROOTCA';

const ROOT_CERT_PATH = '/var/run/secrets/istio/root-cert.pem';
const TOKEN_PATH = '/var/run/secrets/tokens/istio-token';

/** Where and with what an Envoy calls the control plane. Paths are in Envoy's own file system. */
export interface ControlPlaneEndpoint {
  /** `host:port`, resolved by gRPC inside Envoy's process. */
  readonly address: string;
  readonly rootCertPath: string;
  readonly tokenPath: string;
}

export function controlPlaneEndpoint(address: string): ControlPlaneEndpoint {
  return { address, rootCertPath: ROOT_CERT_PATH, tokenPath: TOKEN_PATH };
}

type Json = Record<string, unknown>;

/** Envoy's own thirty seconds are long for a proxy that goes on with stale endpoints. */
const RETRY_POLICY: Json = { retry_back_off: { base_interval: '0.5s', max_interval: '5s' } };

/**
 * envoy.config.core.v3.GrpcService for SDS, as proto3 JSON: TLS by google_grpc, and the token as `authorization: Bearer`,
 * read from its file anew for every stream (Envoy's own gRPC client has no call credentials).
 */
export function sdsGrpcService(endpoint: ControlPlaneEndpoint): Json {
  return {
    google_grpc: {
      target_uri: endpoint.address,
      stat_prefix: 'sds',
      channel_credentials: { ssl_credentials: { root_certs: { filename: endpoint.rootCertPath } } },
      call_credentials: [
        {
          from_plugin: {
            name: 'envoy.grpc_credentials.file_based_metadata',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.config.grpc_credential.v3.FileBasedMetadataConfig',
              secret_data: { filename: endpoint.tokenPath },
              header_key: 'authorization',
              header_prefix: 'Bearer ',
            },
          },
        },
      ],
      credentials_factory_name: 'envoy.grpc_credentials.file_based_metadata',
      channel_args: {
        args: {
          'grpc.keepalive_time_ms': { int_value: '30000' },
          'grpc.keepalive_timeout_ms': { int_value: '10000' },
          'grpc.http2.max_pings_without_data': { int_value: '0' },
          'grpc.initial_reconnect_backoff_ms': { int_value: '500' },
          'grpc.max_reconnect_backoff_ms': { int_value: '3000' },
          'grpc.max_receive_message_length': { int_value: '-1' },
          // No TXT look-ups for a service configuration that nobody publishes.
          'grpc.service_config_disable_resolution': { int_value: '1' },
        },
      },
    },
    retry_policy: RETRY_POLICY,
  };
}

/** Name of the static cluster by which ADS is reached. */
const ADS_CLUSTER = 'control-plane';
/** So that a lost peer is noticed on a connection that is quiet for minutes. */
const KEEPALIVE = { interval: '30s', timeout: '10s' };

/**
 * envoy.config.core.v3.GrpcService for ADS, to go with `adsCluster`: by Envoy's own client, since that one presents a
 * certificate that comes by SDS.
 */
export function adsGrpcService(): Json {
  return { envoy_grpc: { cluster_name: ADS_CLUSTER, retry_policy: RETRY_POLICY } };
}

/**
 * Envoy's own gRPC client has no call credentials: the token is put into each request on its way out, read from its file
 * anew, since the kubelet renews it.
 */
function tokenFilters(tokenPath: string): Json[] {
  const script = `function envoy_on_request(handle)
  local file = io.open(${JSON.stringify(tokenPath)})
  if file == nil then return end
  handle:headers():replace("authorization", "Bearer " .. file:read("*l"))
  file:close()
end`;
  return [
    {
      name: 'envoy.filters.http.lua',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua',
        default_source_code: { inline_string: script },
      },
    },
    {
      name: 'envoy.filters.http.upstream_codec',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec',
      },
    },
  ];
}

/**
 * envoy.config.cluster.v3.Cluster of the control plane, by mutual TLS: the workload's certificate comes from `secrets`, and
 * Envoy waits for it.
 */
export function adsCluster(endpoint: ControlPlaneEndpoint, secrets: ControlPlaneEndpoint): Json {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(endpoint.address) ?? [];
  const address = { socket_address: { address: host, port_value: Number(port) } };
  return {
    name: ADS_CLUSTER,
    connect_timeout: '5s',
    cluster_type: {
      name: 'envoy.clusters.dns',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster',
        // A connection stays when the answer changes; that is seldom, since it is the address of a Service.
        all_addresses_in_single_endpoint: true,
        dns_lookup_family: 'V4_PREFERRED',
        dns_refresh_rate: '60s',
        dns_failure_refresh_rate: { base_interval: '0.5s', max_interval: '5s' },
      },
    },
    load_assignment: {
      cluster_name: ADS_CLUSTER,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
        '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        explicit_http_config: { http2_protocol_options: { connection_keepalive: KEEPALIVE } },
        http_filters: tokenFilters(endpoint.tokenPath),
      },
    },
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: {
        '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext',
        sni: host,
        common_tls_context: {
          alpn_protocols: ['h2'],
          tls_params: { tls_minimum_protocol_version: 'TLSv1_3', tls_maximum_protocol_version: 'TLSv1_3' },
          tls_certificate_sds_secret_configs: [{ name: WORKLOAD_SECRET, sds_config: sdsConfigSource(secrets) }],
          validation_context: {
            trusted_ca: { filename: endpoint.rootCertPath },
            match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: host } }],
          },
        },
      },
    },
  };
}

/** envoy.config.core.v3.ConfigSource as proto3 JSON for every SdsSecretConfig. */
export function sdsConfigSource(endpoint: ControlPlaneEndpoint = controlPlaneEndpoint(SDS_ADDRESS)): Json {
  return {
    resource_api_version: 'V3',
    initial_fetch_timeout: '0s',
    api_config_source: {
      api_type: 'DELTA_GRPC',
      transport_api_version: 'V3',
      set_node_on_first_message_only: true,
      grpc_services: [sdsGrpcService(endpoint)],
    },
  };
}
