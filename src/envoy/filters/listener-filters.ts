// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { type ListenerFilter, ListenerFilterSchema } from '#gen/envoy/config/listener/v3/listener_components_pb.ts';
import { OriginalDstSchema } from '#gen/envoy/extensions/filters/listener/original_dst/v3/original_dst_pb.ts';
import { TlsInspectorSchema } from '#gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts';
import { packed } from '../messages.ts';

/** Where the connection was going before the redirect. */
export function originalDst(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.original_dst',
    configType: { case: 'typedConfig', value: packed(OriginalDstSchema, {}) },
  });
}

/** Is it TLS, for which server name, with which protocols inside? */
export function tlsInspector(): ListenerFilter {
  return create(ListenerFilterSchema, {
    name: 'envoy.filters.listener.tls_inspector',
    configType: { case: 'typedConfig', value: packed(TlsInspectorSchema, {}) },
  });
}
