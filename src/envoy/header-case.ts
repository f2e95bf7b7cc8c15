// SPDX-License-Identifier: Apache-2.0
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Http1ProtocolOptionsSchema } from '#gen/envoy/config/core/v3/protocol_pb.ts';
import { PreserveCaseFormatterConfigSchema } from '#gen/envoy/extensions/http/header_formatters/preserve_case/v3/preserve_case_pb.ts';
import { packed } from './messages.ts';

const PRESERVE_CASE = 'envoy.http.stateful_header_formatters.preserve_case';

/** HTTP/1 headers as they came. Both sides of a proxy have to say so. */
export function keptCase(): Exclude<MessageInitShape<typeof Http1ProtocolOptionsSchema>, { $typeName: string }> {
  const value = { name: PRESERVE_CASE, typedConfig: packed(PreserveCaseFormatterConfigSchema, {}) };
  return { headerKeyFormat: { headerFormat: { case: 'statefulFormatter', value } } };
}
