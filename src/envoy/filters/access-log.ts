// SPDX-License-Identifier: Apache-2.0
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogFilterSchema,
  AccessLogSchema,
} from '#gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import { ApiVersion } from '#gen/envoy/config/core/v3/config_source_pb.ts';
import type { SubstitutionFormatStringSchema } from '#gen/envoy/config/core/v3/substitution_format_string_pb.ts';
import { AccessLogType } from '#gen/envoy/data/accesslog/v3/accesslog_pb.ts';
import { FileAccessLogSchema } from '#gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  HttpGrpcAccessLogConfigSchema,
  TcpGrpcAccessLogConfigSchema,
} from '#gen/envoy/extensions/access_loggers/grpc/v3/als_pb.ts';
import { OpenTelemetryAccessLogConfigSchema } from '#gen/envoy/extensions/access_loggers/open_telemetry/v3/logs_service_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '#gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import type { AnyValueSchema, KeyValueListSchema } from '#gen/opentelemetry/proto/common/v1/common_pb.ts';
import type { AccessLogServiceIntent, JsonFormat, LogIntent } from '../../intent/telemetry-types.ts';
import { packed } from '../messages.ts';
import { collectorService } from './collector.ts';
import { CEL_FILTER, expressionFilter } from './expression-filter.ts';

/** The members of Istio's default line, in its order: https://istio.io/latest/docs/tasks/observability/logs/access-log/ */
const ISTIO_LINE = [
  '[%START_TIME%]',
  '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"',
  '%RESPONSE_CODE%',
  '%RESPONSE_FLAGS%',
  '%RESPONSE_CODE_DETAILS%',
  '%CONNECTION_TERMINATION_DETAILS%',
  '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"',
  '%BYTES_RECEIVED%',
  '%BYTES_SENT%',
  '%DURATION%',
  '%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%',
  '"%REQ(X-FORWARDED-FOR)%"',
  '"%REQ(USER-AGENT)%"',
  '"%REQ(X-REQUEST-ID)%"',
  '"%REQ(:AUTHORITY)%"',
  '"%UPSTREAM_HOST%"',
  '%UPSTREAM_CLUSTER_RAW%',
  '%UPSTREAM_LOCAL_ADDRESS%',
  '%DOWNSTREAM_LOCAL_ADDRESS%',
  '%DOWNSTREAM_REMOTE_ADDRESS%',
  '%REQUESTED_SERVER_NAME%',
  '%ROUTE_NAME%',
];

/**
 * After Istio's own, so that what reads its line reads ours: TLS version and SPIFFE ID, of the client's side, then of the
 * server's; and why the client's handshake failed.
 */
const PEERS = [
  '%DOWNSTREAM_TLS_VERSION%',
  '%DOWNSTREAM_PEER_URI_SAN%',
  '%UPSTREAM_TLS_VERSION%',
  '%UPSTREAM_PEER_URI_SAN%',
  '"%DOWNSTREAM_TRANSPORT_FAILURE_REASON%"',
];

export const ACCESS_LOG_FORMAT = `${[...ISTIO_LINE, ...PEERS].join(' ')}\n`;

/** What is said of a request or of a connection; `filter` goes before what the log asks for itself. */
export function accessLogs(
  logs: readonly LogIntent[],
  of: AccessLogServiceIntent['of'],
  filter?: AccessLogFilter,
): AccessLog[] {
  // A service of access logs is for the one or for the other; all else takes both.
  const concerned = logs.filter(({ sink }) => sink.kind !== 'als' || sink.of === of);
  return concerned.map((log) => {
    const { name, config } = loggerOf(log);
    const filters = [filter, log.filter === undefined ? undefined : byExpression(log.filter)].filter(
      (f) => f !== undefined,
    );
    const whole = filters.length > 1 ? allOf(filters) : filters[0];
    return create(AccessLogSchema, {
      name,
      ...(whole && { filter: whole }),
      configType: { case: 'typedConfig', value: config },
    });
  });
}

function loggerOf(log: LogIntent): { name: string; config: Any } {
  switch (log.sink.kind) {
    case 'file':
      return fileLogger(log.sink, log);
    case 'otlp':
      return otlpLogger(log.sink, log);
    case 'als':
      return serviceLogger(log.sink);
  }
}

function serviceLogger({ of, collector, name, filterState, headers }: AccessLogServiceIntent): {
  name: string;
  config: Any;
} {
  const commonConfig = {
    logName: name,
    grpcService: collectorService(collector),
    transportApiVersion: ApiVersion.V3,
    filterStateObjectsToLog: [...filterState],
  };
  if (of === 'connections')
    return { name: 'envoy.access_loggers.tcp_grpc', config: packed(TcpGrpcAccessLogConfigSchema, { commonConfig }) };
  const config = packed(HttpGrpcAccessLogConfigSchema, {
    commonConfig,
    additionalRequestHeadersToLog: [...(headers?.request ?? [])],
    additionalResponseHeadersToLog: [...(headers?.response ?? [])],
    additionalResponseTrailersToLog: [...(headers?.trailers ?? [])],
  });
  return { name: 'envoy.access_loggers.http_grpc', config };
}

/** Standard output may be a socket, or belong to another user: written to it can be, but opened by its name it cannot. */
function fileLogger(
  { path, omitEmpty = false }: Extract<LogIntent['sink'], { kind: 'file' }>,
  { format }: LogIntent,
): { name: string; config: Any } {
  const value = { ...formatOf(format), ...(omitEmpty && { omitEmptyValues: true }) };
  const accessLogFormat = { case: 'logFormat' as const, value };
  switch (path) {
    case '/dev/stdout':
      return { name: 'envoy.access_loggers.stdout', config: packed(StdoutAccessLogSchema, { accessLogFormat }) };
    case '/dev/stderr':
      return { name: 'envoy.access_loggers.stderr', config: packed(StderrAccessLogSchema, { accessLogFormat }) };
    default:
      return { name: 'envoy.access_loggers.file', config: packed(FileAccessLogSchema, { path, accessLogFormat }) };
  }
}

type FormatInit = Exclude<MessageInitShape<typeof SubstitutionFormatStringSchema>, { $typeName: string }>;

function formatOf(format: LogIntent['format']): FormatInit {
  const jsonFormatOptions = { sortProperties: false };
  if (format?.kind === 'json')
    return { format: { case: 'jsonFormat', value: { ...format.members } }, jsonFormatOptions };
  const value = inline(format?.text ?? ACCESS_LOG_FORMAT);
  return { format: { case: 'textFormatSource', value } };
}

function otlpLogger(
  { collector, name }: Extract<LogIntent['sink'], { kind: 'otlp' }>,
  { format }: LogIntent,
): { name: string; config: Any } {
  const text = (format?.kind === 'text' ? format.text : format?.body) ?? ACCESS_LOG_FORMAT;
  const config = packed(OpenTelemetryAccessLogConfigSchema, {
    logName: name,
    grpcService: collectorService(collector),
    body: { value: { case: 'stringValue', value: text.replace(/\n$/, '') } },
    ...(format?.kind === 'json' && { attributes: attributes(format.members) }),
  });
  return { name: 'envoy.access_loggers.open_telemetry', config };
}

function attributes(members: JsonFormat): MessageInitShape<typeof KeyValueListSchema> {
  const anyValue = (value: string | JsonFormat): MessageInitShape<typeof AnyValueSchema> =>
    typeof value === 'string'
      ? { value: { case: 'stringValue', value } }
      : { value: { case: 'kvlistValue', value: attributes(value) } };
  return { values: Object.entries(members).map(([key, value]) => ({ key, value: anyValue(value) })) };
}

function byExpression(expression: string): AccessLogFilter {
  const value = { name: CEL_FILTER, configType: { case: 'typedConfig' as const, value: expressionFilter(expression) } };
  return create(AccessLogFilterSchema, { filterSpecifier: { case: 'extensionFilter', value } });
}

function allOf(filters: AccessLogFilter[]): AccessLogFilter {
  return create(AccessLogFilterSchema, { filterSpecifier: { case: 'andFilter', value: { filters } } });
}

/**
 * Connections that come to nothing: no filter chain takes them (unknown server names, plaintext where TLS is asked for), or
 * their handshake fails, which the client's side often cannot know: with TLS 1.3 it is done before its certificate is read.
 */
export function refusedConnections(): AccessLogFilter {
  const filters = [
    create(AccessLogFilterSchema, { filterSpecifier: { case: 'responseFlagFilter', value: { flags: ['NR'] } } }),
    byExpression('connection.transport_failure_reason != ""'),
  ];
  return create(AccessLogFilterSchema, { filterSpecifier: { case: 'orFilter', value: { filters } } });
}

/** Of a proxy of connections that logs when they are made: what the metrics ask for is no line. */
export function endedConnections(): AccessLogFilter {
  const value = { types: [AccessLogType.TcpUpstreamConnected], exclude: true };
  return create(AccessLogFilterSchema, { filterSpecifier: { case: 'logTypeFilter', value } });
}

function inline(text: string) {
  return { specifier: { case: 'inlineString' as const, value: text } };
}
