// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  type AccessLog,
  type AccessLogFilter,
  AccessLogFilterSchema,
  AccessLogSchema,
} from '#gen/envoy/config/accesslog/v3/accesslog_pb.ts';
import { FileAccessLogSchema } from '#gen/envoy/extensions/access_loggers/file/v3/file_pb.ts';
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from '#gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts';
import { packed } from '../messages.ts';
import { expressionFilter } from './expression-filter.ts';

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

/** No logger for an empty file name. */
export function accessLog(file: string, filter?: AccessLogFilter): AccessLog[] {
  if (file === '') return [];
  const { name, config } = logger(file);
  return [
    create(AccessLogSchema, { name, ...(filter && { filter }), configType: { case: 'typedConfig', value: config } }),
  ];
}

/** Standard output may be a socket, or belong to another user: written to it can be, but opened by its name it cannot. */
function logger(file: string): { name: string; config: Any } {
  const format = { format: { case: 'textFormatSource' as const, value: inline(ACCESS_LOG_FORMAT) } };
  const accessLogFormat = { case: 'logFormat' as const, value: format };
  switch (file) {
    case '/dev/stdout':
      return { name: 'envoy.access_loggers.stdout', config: packed(StdoutAccessLogSchema, { accessLogFormat }) };
    case '/dev/stderr':
      return { name: 'envoy.access_loggers.stderr', config: packed(StderrAccessLogSchema, { accessLogFormat }) };
    default:
      return {
        name: 'envoy.access_loggers.file',
        config: packed(FileAccessLogSchema, { path: file, accessLogFormat }),
      };
  }
}

/**
 * Connections that come to nothing: no filter chain takes them (unknown server names, plaintext where TLS is asked for), or
 * their handshake fails, which the client's side often cannot know: with TLS 1.3 it is done before its certificate is read.
 */
export function refusedConnections(): AccessLogFilter {
  const name = 'envoy.access_loggers.extension_filters.cel';
  const value = expressionFilter('connection.transport_failure_reason != ""');
  const filters = [
    { filterSpecifier: { case: 'responseFlagFilter' as const, value: { flags: ['NR'] } } },
    {
      filterSpecifier: {
        case: 'extensionFilter' as const,
        value: { name, configType: { case: 'typedConfig' as const, value } },
      },
    },
  ];
  return create(AccessLogFilterSchema, { filterSpecifier: { case: 'orFilter', value: { filters } } });
}

function inline(text: string) {
  return { specifier: { case: 'inlineString' as const, value: text } };
}
