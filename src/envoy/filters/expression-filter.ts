// SPDX-License-Identifier: Apache-2.0
// An access log's filter by an expression:
// https://www.envoyproxy.io/docs/envoy/latest/api-v3/extensions/access_loggers/filters/cel/v3/cel.proto
import type { Any } from '@bufbuild/protobuf/wkt';
import { ExpressionFilterSchema } from '#gen/envoy/extensions/access_loggers/filters/cel/v3/cel_pb.ts';
import { packed } from '../messages.ts';

export const CEL_FILTER = 'envoy.access_loggers.extension_filters.cel';

/** https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/advanced/attributes */
export function expressionFilter(expression: string): Any {
  return packed(ExpressionFilterSchema, { expression });
}
