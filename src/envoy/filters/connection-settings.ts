// SPDX-License-Identifier: Apache-2.0
// What a connection manager takes from its clients, over what it takes as a rule.
import type { MessageInitShape } from '@bufbuild/protobuf';
import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from '#gen/envoy/config/core/v3/protocol_pb.ts';
import {
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  type HttpConnectionManager,
  type HttpConnectionManagerSchema,
} from '#gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts';
import type { ConnectionsIntent } from '../../intent/telemetry-types.ts';
import { duration } from '../messages.ts';

type ManagerInit = Exclude<MessageInitShape<typeof HttpConnectionManagerSchema>, HttpConnectionManager>;

export function connectionSettings(intent: ConnectionsIntent): ManagerInit {
  const { streamIdleTimeoutMs, requestTimeoutMs, requestHeadersTimeoutMs, drainTimeoutMs } = intent;
  const { mergeSlashes, escapedSlashes } = intent;
  const [commonHttpProtocolOptions, http2ProtocolOptions] = [ofConnections(intent), ofHttp2(intent)];
  return {
    ...(commonHttpProtocolOptions && { commonHttpProtocolOptions }),
    ...(http2ProtocolOptions && { http2ProtocolOptions }),
    ...(streamIdleTimeoutMs !== undefined && { streamIdleTimeout: duration(streamIdleTimeoutMs) }),
    ...(requestTimeoutMs !== undefined && { requestTimeout: duration(requestTimeoutMs) }),
    ...(requestHeadersTimeoutMs !== undefined && { requestHeadersTimeout: duration(requestHeadersTimeoutMs) }),
    ...(drainTimeoutMs !== undefined && { drainTimeout: duration(drainTimeoutMs) }),
    ...(mergeSlashes !== undefined && { mergeSlashes }),
    ...(escapedSlashes && { pathWithEscapedSlashesAction: ESCAPED[escapedSlashes] }),
  };
}

function ofConnections({
  idleTimeoutMs,
  lifetimeMs,
  streamLifetimeMs,
  underscores,
}: ConnectionsIntent): ManagerInit['commonHttpProtocolOptions'] | undefined {
  const options = {
    ...(idleTimeoutMs !== undefined && { idleTimeout: duration(idleTimeoutMs) }),
    ...(lifetimeMs !== undefined && { maxConnectionDuration: duration(lifetimeMs) }),
    ...(streamLifetimeMs !== undefined && { maxStreamDuration: duration(streamLifetimeMs) }),
    ...(underscores && { headersWithUnderscoresAction: UNDERSCORES[underscores] }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

function ofHttp2({
  maxConcurrentStreams,
  streamWindowBytes,
  connectionWindowBytes,
}: ConnectionsIntent): ManagerInit['http2ProtocolOptions'] | undefined {
  const options = {
    ...(maxConcurrentStreams !== undefined && { maxConcurrentStreams }),
    ...(streamWindowBytes !== undefined && { initialStreamWindowSize: streamWindowBytes }),
    ...(connectionWindowBytes !== undefined && { initialConnectionWindowSize: connectionWindowBytes }),
  };
  return Object.keys(options).length === 0 ? undefined : options;
}

const UNDERSCORES: Readonly<Record<NonNullable<ConnectionsIntent['underscores']>, Underscores>> = {
  allow: Underscores.ALLOW,
  reject: Underscores.REJECT_REQUEST,
  drop: Underscores.DROP_HEADER,
};

const ESCAPED: Readonly<Record<NonNullable<ConnectionsIntent['escapedSlashes']>, EscapedSlashes>> = {
  keep: EscapedSlashes.KEEP_UNCHANGED,
  reject: EscapedSlashes.REJECT_REQUEST,
  'unescape-and-redirect': EscapedSlashes.UNESCAPE_AND_REDIRECT,
  'unescape-and-forward': EscapedSlashes.UNESCAPE_AND_FORWARD,
};
