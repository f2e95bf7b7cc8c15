// SPDX-License-Identifier: Apache-2.0
// What proxies take from those who connect to them, by the mesh's `defaultConfig.connectionSettings`.
import type { ConnectionSettings } from '../api/connection-settings.ts';
import type { MeshConfig } from '../api/mesh-config.ts';
import type { ConnectionsIntent } from './telemetry-types.ts';

const MINUTE_MS = 60_000;

/** Envoy's advice for proxies at the edge, as Istio has it; the settings' own words go before. */
const EDGE: ConnectionsIntent = {
  bufferBytes: 32_768,
  idleTimeoutMs: 60 * MINUTE_MS,
  streamIdleTimeoutMs: 5 * MINUTE_MS,
  requestTimeoutMs: 5 * MINUTE_MS,
  requestHeadersTimeoutMs: MINUTE_MS,
  maxConcurrentStreams: 100,
  streamWindowBytes: 65_536,
  connectionWindowBytes: 1_048_576,
  underscores: 'reject',
  mergeSlashes: true,
  escapedSlashes: 'unescape-and-redirect',
};

export function connectionsOf({ defaultConfig }: Pick<MeshConfig, 'defaultConfig'>): {
  readonly connections?: ConnectionsIntent;
  readonly edgeConnections?: ConnectionsIntent;
} {
  const settings = defaultConfig?.connectionSettings;
  if (settings === undefined) return {};
  const said = written(settings);
  return {
    ...(Object.keys(said).length > 0 && { connections: said }),
    ...(settings.profile === 'EDGE' && { edgeConnections: { ...EDGE, ...said } }),
  };
}

function written(settings: ConnectionSettings): ConnectionsIntent {
  const { httpHeadersWithUnderscoresAction: underscores, httpPathWithEscapedSlashesAction: escaped } = settings;
  const all = {
    bufferBytes: settings.listenerPerConnectionBufferLimitBytes,
    idleTimeoutMs: settings.httpIdleTimeout,
    lifetimeMs: settings.httpMaxConnectionDuration || undefined,
    drainTimeoutMs: settings.httpDrainTimeout,
    requestTimeoutMs: settings.httpRequestTimeout,
    requestHeadersTimeoutMs: settings.httpRequestHeadersTimeout,
    streamIdleTimeoutMs: settings.httpStreamIdleTimeout,
    streamLifetimeMs: settings.httpMaxStreamDuration || undefined,
    maxConcurrentStreams: settings.httpMaxConcurrentStreams,
    streamWindowBytes: settings.http2InitialStreamWindowSize,
    connectionWindowBytes: settings.http2InitialConnectionWindowSize,
    underscores: underscores && UNDERSCORES[underscores],
    mergeSlashes: settings.httpMergeSlashes,
    escapedSlashes: escaped && ESCAPED[escaped],
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

const UNDERSCORES = {
  HEADERS_WITH_UNDERSCORES_UNSPECIFIED: undefined,
  HEADERS_WITH_UNDERSCORES_ALLOW: 'allow',
  HEADERS_WITH_UNDERSCORES_REJECT_REQUEST: 'reject',
  HEADERS_WITH_UNDERSCORES_DROP_HEADER: 'drop',
} as const;

const ESCAPED = {
  PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED: undefined,
  KEEP_UNCHANGED: 'keep',
  REJECT_REQUEST: 'reject',
  UNESCAPE_AND_REDIRECT: 'unescape-and-redirect',
  UNESCAPE_AND_FORWARD: 'unescape-and-forward',
} as const;
