// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { type ListenerFilter, ListenerFilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { HttpInspectorSchema } from '#gen/envoy/extensions/filters/listener/http_inspector/v3/http_inspector_pb.ts';
import { OriginalDstSchema } from '#gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { ProxyProtocolSchema } from '#gen/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol_pb.ts';
import { TlsInspectorSchema } from '#gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { packed } from '../messages.ts';

/** Where the connection was going before the redirect. */
export function originalDst(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: ORIGINAL_DST,
    configType: { case: 'typedConfig', value: packed(OriginalDstSchema, {}) },
  });
}

/** Is it TLS, for which server name, with which protocols inside? */
export function tlsInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: TLS_INSPECTOR,
    configType: { case: 'typedConfig', value: packed(TlsInspectorSchema, {}) },
  });
}

/** What the HTTP inspector says of plaintext that begins as HTTP does; of anything else it says nothing. */
export const HTTP_PROTOCOLS: readonly string[] = ['http/1.0', 'http/1.1', 'h2c'];

/** Is it HTTP? */
export function httpInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: HTTP_INSPECTOR,
    configType: { case: 'typedConfig', value: packed(HttpInspectorSchema, {}) },
  });
}

/**
 * Who connects, by the PROXY protocol's header. `optional`: connections without one are taken too, as those that other
 * clusters' proxies make past the load balancer.
 */
export function proxyProtocol(optional: boolean): ListenerFilter {
  const config = packed(ProxyProtocolSchema, optional ? { allowRequestsWithoutProxyProtocol: true } : {});
  return create(ListenerFilterSchema, { name: PROXY_PROTOCOL, configType: { case: 'typedConfig', value: config } });
}

export const PROXY_PROTOCOL = 'envoy.filters.listener.proxy_protocol';
export const TLS_INSPECTOR = 'envoy.filters.listener.tls_inspector';
export const HTTP_INSPECTOR = 'envoy.filters.listener.http_inspector';
export const ORIGINAL_DST = 'envoy.filters.listener.original_dst';
