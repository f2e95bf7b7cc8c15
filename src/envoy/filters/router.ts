// SPDX-License-Identifier: Apache-2.0
import type { Any } from '@bufbuild/protobuf/wkt';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { packed } from '../messages.ts';

/** `silent`: without Envoy's own headers, such as x-envoy-upstream-service-time. */
export function routerFilter(silent?: true): { name: string; config: Any } {
  const config = packed(RouterSchema, silent ? { suppressEnvoyHeaders: true } : {});
  return { name: 'envoy.filters.http.router', config };
}
