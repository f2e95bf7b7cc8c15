// SPDX-License-Identifier: Apache-2.0
import { stringify } from 'yaml';
import { codesOf, SEVERITIES, shownCode } from '../../api/diagnostics.ts';
import type { Remark } from './judge.ts';

/** `log`: a line for each. */
export type OutputFormat = 'log' | 'json' | 'yaml';

/** One line for each remark; as JSON or YAML, a list with every member by its name. */
export function renderRemarks(remarks: readonly Remark[], format: OutputFormat, color = false): string {
  if (format === 'json') return `${JSON.stringify(remarks.map(plain), undefined, 2)}\n`;
  if (format === 'yaml') return stringify(remarks.map(plain));
  return remarks.map((remark) => `${renderLine(remark, color)}\n`).join('');
}

/** Red, yellow, and none. */
const PAINT = { error: '\x1b[31m', warning: '\x1b[33m', info: '' } as const;

/** `Error [IST0106] (cluster1: VirtualService default/reviews, reviews.yaml:12) spec.http[0].rout: there is no ...: did you mean ...? (ISM0003)` */
function renderLine(remark: Remark, color: boolean): string {
  const { code, severity, object, field, message, cure, file, line } = remark;
  const shown = shownCode(remark);
  const closer = shown === code ? '' : ` (${code})`;
  const name = object.namespace === '' ? object.name : `${object.namespace}/${object.name}`;
  const place = file === undefined ? '' : `${line === undefined ? file : `${file}:${line}`}`;
  const what = object.kind === 'File' ? [place] : [`${object.kind} ${name}`, ...(place === '' ? [] : [place])];
  const cluster = object.cluster === undefined ? '' : `${object.cluster}: `;
  const level = `${severity.charAt(0).toUpperCase()}${severity.slice(1)}`;
  const painted = color ? `${PAINT[severity]}${level}\x1b[0m` : level;
  return `${painted} [${shown}] (${cluster}${what.join(', ')}) ${field === '' ? '' : `${field}: `}${message}: ${cure}${closer}`;
}

function plain(remark: Remark): Record<string, unknown> {
  const { severity, object, field, message, cure, file, line } = remark;
  return {
    ...codesOf(remark),
    level: severity,
    object,
    ...(field === '' ? {} : { field }),
    ...(file === undefined ? {} : { file }),
    ...(line === undefined ? {} : { line }),
    message,
    cure,
  };
}

/** `2 errors, 1 warning` */
export function countRemarks(remarks: readonly Remark[]): string {
  return SEVERITIES.toReversed()
    .map((severity) => ({ severity, count: remarks.filter((remark) => remark.severity === severity).length }))
    .filter(({ count }) => count > 0)
    .map(({ severity, count }) => `${count} ${severity}${count === 1 || severity === 'info' ? '' : 's'}`)
    .join(', ');
}
