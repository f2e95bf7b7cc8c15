// SPDX-License-Identifier: Apache-2.0
import type { ResourceRequest, WriteOptions } from '../rest/context.ts';
import type { Written } from '../rest/update.ts';
import { unsupportedMediaType } from '../status.ts';

export async function applyFromBody(
  _request: ResourceRequest,
  _body: unknown,
  _options: WriteOptions,
): Promise<Written> {
  throw unsupportedMediaType('server-side apply (application/apply-patch+yaml) is not supported');
}
