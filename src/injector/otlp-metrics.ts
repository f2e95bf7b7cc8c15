// SPDX-License-Identifier: Apache-2.0
// Istio's metrics by OTLP: a sink of Envoy's bootstrap, which gives a collector what Prometheus can read, and nothing else.
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/stat_sinks/open_telemetry/v3/open_telemetry.proto

type Json = Record<string, unknown>;

const CLUSTER = 'otlp-metrics';
/** A part of the interval after which label sets are forgotten, which Envoy asks for. Histograms are as old at most. */
export const OTLP_INTERVAL = '15s';
const METRICS = [
  'requests_total',
  'request_duration_milliseconds',
  'request_bytes',
  'response_bytes',
  'tcp_sent_bytes_total',
  'tcp_received_bytes_total',
  'tcp_connections_opened_total',
  'tcp_connections_closed_total',
];
const SINK = 'envoy.extensions.stat_sinks.open_telemetry.v3.SinkConfig';

/** For `stats_sinks`. */
export function otlpSink(): Json {
  return {
    name: 'envoy.stat_sinks.open_telemetry',
    typed_config: typed(SINK, {
      grpc_service: { envoy_grpc: { cluster_name: CLUSTER }, timeout: '5s' },
      // OTEL_RESOURCE_ATTRIBUTES, where spans have it from, too.
      resource_detectors: [
        {
          name: 'envoy.tracers.opentelemetry.resource_detectors.environment',
          typed_config: typed(
            'envoy.extensions.tracers.opentelemetry.resource_detectors.v3.EnvironmentResourceDetectorConfig',
          ),
        },
      ],
      custom_metric_conversions: {
        matcher_tree: {
          input: {
            name: 'stat_full_name_match_input',
            typed_config: typed('envoy.extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput'),
          },
          prefix_match_map: {
            map: Object.fromEntries(METRICS.map((name) => [`wasmcustom.istio_${name}`, keep(name)])),
          },
        },
        on_no_match: { action: { name: 'drop', typed_config: typed(`${SINK}.DropAction`) } },
      },
    }),
  };
}

function keep(name: string): Json {
  const typed_config = typed(`${SINK}.ConversionAction`, { metric_name: `istio_${name}` });
  return { action: { name: 'keep', typed_config } };
}

/** Envoy takes only clusters of its bootstrap here, which know nothing of the mesh: neither its names nor its TLS. */
export function otlpCluster(address: string): Json {
  const [, host = '', port = ''] = /^(.*):(\d+)$/.exec(address) ?? [];
  const socket_address = { address: host, port_value: Number(port) };
  return {
    name: CLUSTER,
    type: 'STRICT_DNS',
    dns_lookup_family: 'V4_PREFERRED',
    connect_timeout: '5s',
    load_assignment: {
      cluster_name: CLUSTER,
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address } } }] }],
    },
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': typed(
        'envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
        { explicit_http_config: { http2_protocol_options: {} } },
      ),
    },
  };
}

function typed(message: string, members: Json = {}): Json {
  return { '@type': `type.googleapis.com/${message}`, ...members };
}
