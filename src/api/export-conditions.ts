// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../kube/types.ts';
import { isRecord } from './shape.ts';

export interface Complaint {
  readonly type: string;
  readonly reason: string;
  readonly message: string;
}

/** Of the status of a ServiceExport or an ExportedService: the conditions by which something is not as it should be. */
export function complaintsOf({ status }: KubeObject): Complaint[] {
  const conditions = isRecord(status) && Array.isArray(status['conditions']) ? status['conditions'] : [];
  return conditions
    .filter(isRecord)
    .filter(({ type, status: said }) => (type === 'Conflict' ? said === 'True' : said === 'False'))
    .map(({ type, reason, message }) => ({ type: String(type), reason: String(reason), message: String(message) }));
}
