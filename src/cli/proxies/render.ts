// SPDX-License-Identifier: Apache-2.0
import { stringify } from 'yaml';
import { renderTable } from '../table.ts';
import type { ProxyRow, ShownRefusal } from './states.ts';

export type StructuredFormat = 'json' | 'yaml';

export function renderStructured(value: unknown, format: StructuredFormat): string {
  return format === 'json' ? `${JSON.stringify(value, undefined, 2)}\n` : stringify(value);
}

const HEADER = ['NAME', 'CLUSTER', 'CDS', 'LDS', 'EDS', 'RDS', 'ISTIOD', 'VERSION'];

/** A table in the columns of istioctl. */
export function renderRows(rows: readonly ProxyRow[]): string {
  const lines = rows.map((row) => [
    ...[row.name, row.cluster, row.cds, row.lds, row.eds, row.rds, row.istiod, row.version],
  ]);
  return renderTable(HEADER, lines);
}

/** What a proxy refuses and refused; '' when nothing. */
export function renderRefusals({ name, refusals }: ProxyRow): string {
  const part = (title: string, wanted: readonly ShownRefusal[]): string =>
    wanted.length === 0 ? '' : `\n${name} ${title}:\n${wanted.map(renderRefusal).join('')}`;
  return (
    part(
      'refuses (what it had before stays in force)',
      refusals.filter(({ inForce }) => inForce),
    ) +
    part(
      'refused before, and it has been replaced since',
      refusals.filter(({ inForce }) => !inForce),
    )
  );
}

function renderRefusal({ type, resource, message, at, objects }: ShownRefusal): string {
  const behind = objects.length === 0 ? '' : `, from ${objects.join(', ')}`;
  return `  ${type} ${resource}${behind}${at === undefined ? '' : ` (${at})`}\n    ${message.replaceAll('\n', '\n    ')}\n`;
}
