// SPDX-License-Identifier: Apache-2.0
// ConnectionSettings of a ProxyConfig: what proxies take from those who connect to them.
import { bool, choice, type Infer, idle, integer, optional, struct } from './shape.ts';
import { durationMs } from './values.ts';

const INT32 = 0x7fff_ffff;
/** Of HTTP/2 (RFC 9113, section 6.9.2): Envoy takes none that is smaller. */
const window = integer({ min: 65_535, max: INT32 });
/** 0: never. */
const timeout = optional(durationMs({ zero: true }));
const perListener = 'limit a listener by runtimeValues: envoy.resource_limits.listener.NAME.connection_limit';

export const connectionSettings = struct({
  /** EDGE: what gateways should take of strangers, where nothing else is said. */
  profile: optional(choice(['SIDECAR', 'EDGE'])),
  /** Of gateways. */
  listenerPerConnectionBufferLimitBytes: optional(integer({ min: 1, max: INT32 })),
  httpIdleTimeout: timeout,
  httpMaxConnectionDuration: timeout,
  /** 0 would close at once what is to end gracefully. */
  httpDrainTimeout: optional(durationMs()),
  httpRequestTimeout: timeout,
  httpRequestHeadersTimeout: timeout,
  httpStreamIdleTimeout: timeout,
  httpMaxStreamDuration: timeout,
  httpMaxConcurrentStreams: optional(integer({ min: 1, max: INT32 })),
  http2InitialStreamWindowSize: optional(window),
  http2InitialConnectionWindowSize: optional(window),
  httpHeadersWithUnderscoresAction: optional(
    choice([
      'HEADERS_WITH_UNDERSCORES_UNSPECIFIED',
      'HEADERS_WITH_UNDERSCORES_ALLOW',
      'HEADERS_WITH_UNDERSCORES_REJECT_REQUEST',
      'HEADERS_WITH_UNDERSCORES_DROP_HEADER',
    ]),
  ),
  httpMergeSlashes: optional(bool),
  httpPathWithEscapedSlashesAction: optional(
    choice([
      'PATH_WITH_ESCAPED_SLASHES_UNSPECIFIED',
      'KEEP_UNCHANGED',
      'REJECT_REQUEST',
      'UNESCAPE_AND_REDIRECT',
      'UNESCAPE_AND_FORWARD',
    ]),
  ),
  clusterPerConnectionBufferLimitBytes: idle(
    'use an EnvoyFilter that merges perConnectionBufferLimitBytes into clusters',
  ),
  listenerConnectionLimit: idle(perListener),
  globalDownstreamConnectionLimit: idle(perListener),
});
export type ConnectionSettings = Infer<typeof connectionSettings>;
