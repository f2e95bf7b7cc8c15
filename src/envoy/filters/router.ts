// SPDX-License-Identifier: Apache-2.0
import type { Any } from '@bufbuild/protobuf/wkt';
import { RouterSchema } from '#gen/envoy/extensions/filters/http/router/v3/router_pb.ts';
import { packed } from '../messages.ts';

export function routerFilter(): { name: string; config: Any } {
  return { name: 'envoy.filters.http.router', config: packed(RouterSchema, {}) };
}
