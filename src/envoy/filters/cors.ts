// SPDX-License-Identifier: Apache-2.0
import type { Any } from '@bufbuild/protobuf/wkt';
import { CorsPolicySchema, CorsSchema } from '#gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts';
import type { CorsIntent } from '../../intent/route-types.ts';
import { fraction, packed, stringMatcher } from '../messages.ts';

const CORS = 'envoy.filters.http.cors';

export function corsFilter(): { name: string; config: Any } {
  return { name: CORS, config: packed(CorsSchema, {}) };
}

export function corsConfig(cors: CorsIntent): Record<string, Any> {
  return {
    [CORS]: packed(CorsPolicySchema, {
      allowOriginStringMatch: cors.origins.map(stringMatcher),
      allowMethods: cors.methods.join(','),
      allowHeaders: cors.headers.join(','),
      exposeHeaders: cors.exposed.join(','),
      ...(cors.maxAgeMs !== undefined && { maxAge: String(Math.trunc(cors.maxAgeMs / 1000)) }),
      ...(cors.credentials !== undefined && { allowCredentials: cors.credentials }),
      forwardNotMatchingPreflights: cors.forwardUnmatched,
      filterEnabled: { defaultValue: fraction(100) },
    }),
  };
}
