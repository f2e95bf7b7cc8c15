// SPDX-License-Identifier: Apache-2.0
// Fills in what most built-in kinds have in common, so that a kind's file says only what is special about it.
import type { KubeObject } from '../../../kube/types.ts';
import { builtinType } from '../schema/builtin.ts';
import type { TypeTable } from '../schema/parse.ts';
import type { SelectableFields } from '../selectors/field-selector.ts';
import { AGE, NAME, type TableColumn } from '../tables/table.ts';
import { subdomainProblem } from '../validation/names.ts';
import {
  ALL_VERBS,
  groupVersion,
  type ResourceDefinition,
  type ScaleAccess,
  type ServedVersion,
  type Strategy,
} from './definition.ts';

export interface KindSpec {
  readonly kind: string;
  readonly resource: string;
  /** The first is the storage version, unless `storage` says otherwise. */
  readonly versions: readonly VersionSpec[];
  readonly namespaced?: boolean;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly strategy?: Partial<Strategy>;
  readonly columns?: readonly TableColumn[];
  readonly fields?: SelectableFields['fields'];
  readonly status?: boolean;
  readonly scale?: ScaleAccess;
  readonly parts?: ResourceDefinition['parts'];
  readonly deleteReturnsObject?: boolean;
  readonly storageKey?: string;
  /** "v1" for a resource whose storage version is another definition's. */
  readonly storageVersion?: string;
}

export type VersionSpec = Omit<ServedVersion, 'node'> & { readonly type: string };

/** metadata.name and metadata.namespace, which every kind lets select. */
export const METADATA_FIELDS: SelectableFields['fields'] = {
  'metadata.name': (object) => object.metadata.name ?? '',
  'metadata.namespace': (object) => object.metadata.namespace ?? '',
};

export function defineKind(types: TypeTable, spec: KindSpec): ResourceDefinition {
  const served = spec.versions.map(({ type, ...version }) => ({ ...version, node: builtinType(types, type) }));
  const first = served[0]!;
  return {
    resource: spec.resource,
    singular: spec.kind.toLowerCase(),
    kind: spec.kind,
    listKind: `${spec.kind}List`,
    namespaced: spec.namespaced ?? true,
    shortNames: spec.shortNames ?? [],
    categories: spec.categories ?? [],
    served,
    storageVersion: spec.storageVersion ?? groupVersion(first),
    storageKey: spec.storageKey ?? (first.group ? `${spec.resource}.${first.group}` : spec.resource),
    verbs: ALL_VERBS,
    strategy: { nameRule: subdomainProblem, generation: false, ...spec.strategy },
    columns: spec.columns ?? [NAME, AGE],
    selectableFields: { fields: { ...METADATA_FIELDS, ...spec.fields }, terse: spec.fields !== undefined },
    status: spec.status ?? false,
    ...(spec.scale ? { scale: spec.scale } : {}),
    parts: spec.parts ?? {},
    deleteReturnsObject: spec.deleteReturnsObject ?? false,
    custom: false,
  };
}

/** A member of a decoded object, whose shape the decoder has checked. */
export function member<T>(object: KubeObject, name: string): T | undefined {
  return object[name] as T | undefined;
}

/** Reads `a.b.c`; undefined where the way ends. */
export function at(value: unknown, path: string): unknown {
  let current = value;
  for (const step of path.split('.')) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[step];
  }
  return current;
}

export function textAt(value: unknown, path: string): string {
  const found = at(value, path);
  return found === undefined || found === null ? '' : String(found);
}
