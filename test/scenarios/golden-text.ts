// SPDX-License-Identifier: Apache-2.0
// What goldens say, as YAML that a person can review.
import { create, createRegistry, type DescMessage, fromBinary, toJson } from '@bufbuild/protobuf';
import { stringify } from 'yaml';
import { AccessLogSchema } from '#gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { TypedExtensionConfigSchema } from '#gen/envoy/config/core/v3/extension_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { FileBasedMetadataConfigSchema } from '#gen/envoy/config/grpc_credential/v3/file_based_metadata_pb.ts';
import { ListenerSchema } from '#gen/envoy/config/listener/v3/listener_pb.ts';
import { RetryPolicySchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { OpenTelemetryConfigSchema } from '#gen/envoy/config/trace/v3/opentelemetry_pb.ts';
import { ZipkinConfigSchema } from '#gen/envoy/config/trace/v3/zipkin_pb.ts';
import { FileAccessLogSchema } from '#gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import { ExpressionFilterSchema } from '#gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts';
import { OpenTelemetryAccessLogConfigSchema } from '#gen/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.ts';
import { ConfigSchema as StatsConfigSchema } from '#gen/envoy/extensions/access_loggers/stats/v3/stats_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '#gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import { CorsPolicySchema, CorsSchema } from '#gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import { HTTPFaultSchema } from '#gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { HttpInspectorSchema } from '#gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '#gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { TlsInspectorSchema } from '#gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { HttpConnectionManagerSchema } from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import { ConfigSchema as SetFilterStateSchema } from '#gen/envoy/extensions/filters/network/set_filter_state/v3/set_filter_state_pb.ts';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { CelSchema } from '#gen/envoy/extensions/formatter/cel/v3/cel_pb.ts';
import { PreviousHostsPredicateSchema } from '#gen/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts_pb.ts';
import { PreviousPrioritiesConfigSchema } from '#gen/envoy/extensions/retry/priority/previous_priorities/v3/previous_priorities_config_pb.ts';
import { EnvironmentResourceDetectorConfigSchema } from '#gen/envoy/extensions/tracers/opentelemetry/resource_detectors/v3/environment_resource_detector_pb.ts';
import { ProxyProtocolUpstreamTransportSchema } from '#gen/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol_pb.ts';
import { RawBufferSchema } from '#gen/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer_pb.ts';
import {
  DownstreamTlsContextSchema,
  UpstreamTlsContextSchema,
} from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { HttpProtocolOptionsSchema } from '#gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts';
import { envoyRegistry } from '#gen/registry.ts';
import type { Diagnostic } from '../../src/api/diagnostics.ts';
import { ACCESS_LOG_FORMAT } from '../../src/envoy/filters/access-log.ts';
import { httpMetrics, tcpMetrics } from '../../src/envoy/filters/metrics.ts';
import { TYPE_URL } from '../../src/envoy/names.ts';
import { buildRetryPolicy } from '../../src/envoy/retries.ts';
import { DEFAULT_RETRIES } from '../../src/intent/http-routes.ts';
import { ALL_METRICS } from '../../src/intent/telemetry.ts';
import type { ProxyIntent } from '../../src/intent/types.ts';
import type { DesiredState } from '../../src/xds/types.ts';

const REGISTRY = createRegistry(
  envoyRegistry(),
  FileBasedMetadataConfigSchema,
  FileAccessLogSchema,
  StdoutAccessLogSchema,
  StderrAccessLogSchema,
  ExpressionFilterSchema,
  StatsConfigSchema,
  SetFilterStateSchema,
  CelSchema,
  OpenTelemetryAccessLogConfigSchema,
  OpenTelemetryConfigSchema,
  EnvironmentResourceDetectorConfigSchema,
  ZipkinConfigSchema,
  PreviousHostsPredicateSchema,
  PreviousPrioritiesConfigSchema,
  CorsSchema,
  CorsPolicySchema,
  HTTPFaultSchema,
  RouterSchema,
  OriginalDstSchema,
  HttpInspectorSchema,
  TlsInspectorSchema,
  HttpConnectionManagerSchema,
  TcpProxySchema,
  ProxyProtocolUpstreamTransportSchema,
  RawBufferSchema,
  UpstreamTlsContextSchema,
  DownstreamTlsContextSchema,
  HttpProtocolOptionsSchema,
);

const SCHEMAS: Readonly<Record<string, readonly [title: string, schema: DescMessage]>> = {
  [TYPE_URL.cluster]: ['clusters', ClusterSchema],
  [TYPE_URL.endpoints]: ['endpoints', ClusterLoadAssignmentSchema],
  [TYPE_URL.listener]: ['listeners', ListenerSchema],
  [TYPE_URL.routes]: ['routes', RouteConfigurationSchema],
  'type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig': ['extensions', TypedExtensionConfigSchema],
};

/** Resources that the bare mesh does not have just so, by type and name. */
export function envoyGolden(desired: DesiredState, bare: DesiredState, telemetry = false): string {
  const shown: Record<string, Record<string, unknown>> = {};
  const order = Object.keys(SCHEMAS);
  for (const [typeUrl, resources] of [...desired].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))) {
    const [title, schema] = SCHEMAS[typeUrl]!;
    for (const resource of [...resources.values()].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (bare.get(typeUrl)?.get(resource.name) === resource) continue;
      shown[title] ??= {};
      const json = toJson(schema, fromBinary(schema, resource.value), { registry: REGISTRY });
      shown[title][resource.name] = brief(telemetry ? json : withoutTelemetry(json));
    }
  }
  return text(shown);
}

const UNLIMITED = JSON.stringify({
  thresholds: [
    { maxConnections: 4294967295, maxPendingRequests: 4294967295, maxRequests: 4294967295, maxRetries: 4294967295 },
  ],
});
const USUAL_RETRIES = JSON.stringify(
  toJson(RetryPolicySchema, create(RetryPolicySchema, buildRetryPolicy(DEFAULT_RETRIES)), { registry: REGISTRY }),
);

type Json = Readonly<Record<string, unknown>>;

/** Of a case that is about something else. */
function withoutTelemetry(value: unknown, key = ''): unknown {
  if (key === 'accessLog') return '<the usual line>';
  if (Array.isArray(value)) {
    return value.filter((entry) => !isPeerIdentity(entry)).map((entry) => withoutTelemetry(entry));
  }
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value)
    .filter(([k, v]) => !(k === 'istio' && key === 'filterMetadata' && isTelemetryMetadata(v)))
    .map(([k, v]) => [k, withoutTelemetry(v, k)] as const)
    .filter(([k, v]) => !(k === 'metadata' && isEmptyMetadata(v)) && k !== 'accessLogOptions');
  return Object.fromEntries(members);
}

function isPeerIdentity(value: unknown): boolean {
  return (value as { name?: unknown } | null)?.name === 'envoy.filters.network.set_filter_state';
}

function isTelemetryMetadata(value: unknown): boolean {
  const names = Object.keys(value as Json)
    .sort()
    .join();
  return names === 'h,n,s' || names === 'h,s' || names === 'a,c,n,r,s,v,w';
}

function isEmptyMetadata(value: unknown): boolean {
  return JSON.stringify(value) === '{"filterMetadata":{}}';
}

const USUAL_LINE = JSON.stringify({ textFormatSource: { inlineString: ACCESS_LOG_FORMAT } });
const STATS_LOGGER = 'envoy.access_loggers.stats';
const USUAL_METRICS: ReadonlySet<string> = new Set(
  (['client', 'server'] as const).flatMap((side) =>
    [true, false].flatMap((secured) =>
      [...httpMetrics(ALL_METRICS, side, secured), ...tcpMetrics(ALL_METRICS, side, secured)].map((log) =>
        JSON.stringify(toJson(AccessLogSchema, log, { registry: REGISTRY })),
      ),
    ),
  ),
);

interface StatJson {
  readonly stat: {
    readonly name: string;
    readonly tags: readonly { readonly name: string; readonly valueFormat: string }[];
  };
}

/** Name -> what is other than usual. */
function briefMetrics(log: Json): unknown {
  const usual = [...USUAL_METRICS].flatMap((text) => statsOf(JSON.parse(text) as Json));
  const tags = ({ stat }: StatJson) => stat.tags.map(({ name, valueFormat }) => `${name} ${valueFormat}`);
  return Object.fromEntries(
    statsOf(log).map((own) => {
      const reporter = tags(own).find((tag) => tag.startsWith('reporter '));
      const like = usual.find((each) => each.stat.name === own.stat.name && tags(each).includes(reporter ?? ''));
      const [now, before] = [tags(own), like === undefined ? [] : tags(like)];
      const removed = before.filter((tag) => !now.includes(tag)).map((tag) => `without ${tag.split(' ')[0]}`);
      const other = [...removed, ...now.filter((tag) => !before.includes(tag))];
      return [own.stat.name, other.length === 0 ? '<as usual>' : other];
    }),
  );
}

function statsOf(log: Json): StatJson[] {
  const { counters = [], histograms = [] } = log['typedConfig'] as Record<string, StatJson[]>;
  return [...counters, ...histograms];
}

function briefLog(log: Json): unknown {
  if (log['name'] === STATS_LOGGER) {
    return USUAL_METRICS.has(JSON.stringify(log)) ? '<the usual metrics>' : { metrics: briefMetrics(log) };
  }
  const config = log['typedConfig'] as Json;
  if (JSON.stringify(config['logFormat']) !== USUAL_LINE) return brief(log);
  return brief({ ...log, typedConfig: { ...config, logFormat: '<the usual line>' } });
}

/** What is the same everywhere, and long, is named in a word. */
function brief(value: unknown, key = ''): unknown {
  if (key === 'sdsConfig') return '<the control plane, by SDS>';
  if (key === 'formatters') return '<CEL>';
  if (Array.isArray(value) && key === 'accessLog') return value.map((log) => briefLog(log as Json));
  if (key === 'circuitBreakers' && JSON.stringify(value) === UNLIMITED) return '<no limits>';
  if (key === 'retryPolicy' && JSON.stringify(value) === USUAL_RETRIES) return '<the usual two>';
  if (Array.isArray(value)) return value.map((entry) => brief(entry));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, brief(v, k)]));
}

/** `unnamed`: destinations without a route to them, which are not pushed. */
export function intentGolden(intent: ProxyIntent, telemetry = false): string {
  const { telemetry: told, ...rest } = intent;
  const { nameable = intent.destinations } = intent;
  const unnamed = [...nameable.keys()].filter((key) => !intent.destinations.has(key)).sort();
  const all = { ...(telemetry ? intent : rest), destinations: nameable, nameable: undefined, unnamed };
  const shown = JSON.parse(JSON.stringify(all, listed), dropEmpty) as Json;
  return text(telemetry ? shown : withoutNames(shown));
}

/** Of a case that is about something else: names by which only telemetry knows services and workloads. */
function withoutNames(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNames);
  if (typeof value !== 'object' || value === null) return value;
  const isName = ([k, v]: [string, unknown]) => (k === 'service' || k === 'workload') && typeof v === 'object';
  return Object.fromEntries(
    Object.entries(value)
      .filter((member) => !isName(member))
      .map(([k, v]) => [k, withoutNames(v)]),
  );
}

/** What an intent has by name, as a list in the order of the names. */
function listed(_key: string, value: unknown): unknown {
  const isMap = typeof value === 'object' && value !== null && Symbol.iterator in value && !Array.isArray(value);
  if (!isMap) return value;
  const entries = [...(value as ReadonlyMap<string, unknown>)];
  return entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
}

function dropEmpty(key: string, value: unknown): unknown {
  if (key === 'retries' && JSON.stringify(value) === JSON.stringify(DEFAULT_RETRIES)) return '<the usual two>';
  // What nearly every destination takes.
  if (key === 'networks' && value === 'all') return undefined;
  if (key === 'origin') {
    const { object, field } = value as { object: { kind: string; namespace: string; name: string }; field: string };
    return `${object.kind} ${object.namespace}/${object.name} ${field}`;
  }
  const empty = Array.isArray(value)
    ? value.length === 0
    : typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  return empty || value === '' || value === false ? undefined : value;
}

export function diagnosticsGolden(diagnostics: readonly Diagnostic[]): string {
  return text(
    diagnostics.map((d) => ({
      code: d.code,
      severity: d.severity,
      object: `${d.object.kind} ${d.object.namespace}/${d.object.name}`,
      field: d.field,
      line: d.line,
      message: d.message,
      cure: d.cure,
    })),
  );
}

function text(value: unknown): string {
  return stringify(value, { lineWidth: 120, aliasDuplicateObjects: false });
}
