// SPDX-License-Identifier: Apache-2.0
// meta.k8s.io Tables: what `kubectl get` prints. https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables
import type { KubeObject } from '../../../kube/types.ts';
import { shortDuration } from './duration.ts';

export type Cell = string | number | boolean | null;

export interface TableColumn {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  readonly description?: string;
  /** 0 is always shown, 1 with -o wide. */
  readonly priority?: number;
  cell(object: KubeObject, now: Date): Cell;
}

export const NAME: TableColumn = {
  name: 'Name',
  type: 'string',
  format: 'name',
  description: 'Unique within a namespace.',
  cell: (object) => object.metadata.name ?? '',
};

export const AGE: TableColumn = {
  name: 'Age',
  type: 'string',
  description: 'Time since the object was created.',
  cell: (object, now) => age(object.metadata.creationTimestamp, now),
};

/** "5m", or "<unknown>" without a time. */
export function age(since: string | null | undefined, now: Date): string {
  if (!since) return '<unknown>';
  return shortDuration(now.getTime() - Date.parse(since));
}

export function column(
  name: string,
  cell: (object: KubeObject, now: Date) => Cell,
  options: { type?: TableColumn['type']; wide?: boolean; description?: string; format?: string } = {},
): TableColumn {
  return {
    name,
    type: options.type ?? 'string',
    priority: options.wide ? 1 : 0,
    description: options.description ?? '',
    format: options.format ?? '',
    cell,
  };
}

export interface TableRow {
  readonly cells: readonly Cell[];
  readonly object?: unknown;
}

export type RowObject = 'None' | 'Metadata' | 'Object';

/** The table's definitions, as the client gets them. */
export function columnDefinitions(columns: readonly TableColumn[]): unknown[] {
  return columns.map(({ name, type, format = '', description = '', priority = 0 }) => ({
    name,
    type,
    format,
    description,
    priority,
  }));
}

export function tableRow(columns: readonly TableColumn[], object: KubeObject, include: RowObject, now: Date): TableRow {
  const cells = columns.map((one) => one.cell(object, now));
  if (include === 'None') return { cells };
  return { cells, object: include === 'Object' ? object : partialMetadata(object, 'v1') };
}

export function partialMetadata(object: KubeObject, version: string): KubeObject {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
