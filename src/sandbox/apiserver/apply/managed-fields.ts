// SPDX-License-Identifier: Apache-2.0
// metadata.managedFields: who set which field, by which operation. Plain writes take fields over without asking.
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion, type ResourceDefinition, type ServedVersion, toVersion } from '../resources/definition.ts';
import { decodeObject } from '../schema/decode.ts';
import { FieldSet } from './field-set.ts';
import { type Comparison, compareValues, TypedValueError } from './typed-value.ts';

export interface Manager {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  readonly subresource: string;
}

export interface ManagedSet extends Manager {
  readonly time: string | undefined;
  readonly fields: FieldSet;
}

/** The part of a write that its managed fields depend on; a ResourceRequest is one. */
export interface TrackedWrite {
  readonly version: ServedVersion;
  readonly definition: Pick<ResourceDefinition, 'custom' | 'status'>;
  readonly path: { readonly subresource: string };
  readonly core: { readonly now: () => Date };
}

/** By managerId. */
export type ManagedFields = ReadonlyMap<string, ManagedSet>;

/** The server's own fields belong to nobody. */
const SERVER_FIELDS = FieldSet.fromPaths([
  ['f:apiVersion'],
  ['f:kind'],
  ['f:metadata'],
  ...[
    'name',
    'namespace',
    'creationTimestamp',
    'selfLink',
    'uid',
    'generation',
    'managedFields',
    'resourceVersion',
  ].map((name) => ['f:metadata', `f:${name}`]),
]);

export function managerId({ manager, operation, apiVersion, subresource }: Manager): string {
  return JSON.stringify([manager, operation, apiVersion, subresource]);
}

/** Unreadable entries are dropped: they cannot be kept up. */
export function decodeManaged(object: KubeObject | undefined): Map<string, ManagedSet> {
  const entries = object?.metadata['managedFields'];
  const managed = new Map<string, ManagedSet>();
  for (const entry of Array.isArray(entries) ? (entries as Record<string, unknown>[]) : []) {
    const { manager = '', operation, apiVersion = '', subresource = '', time, fieldsV1 } = entry;
    if (operation !== 'Apply' && operation !== 'Update') continue;
    try {
      const set: ManagedSet = {
        manager: String(manager),
        operation,
        apiVersion: String(apiVersion),
        subresource: String(subresource),
        time: typeof time === 'string' ? time : undefined,
        fields: FieldSet.fromJson(fieldsV1 ?? {}),
      };
      managed.set(managerId(set), set);
    } catch {
      // See above.
    }
  }
  return managed;
}

function encodeManaged(managed: ManagedFields): unknown[] {
  const rank = ({ operation, time = '', manager, apiVersion, subresource }: ManagedSet) => [
    operation,
    time,
    manager,
    apiVersion,
    subresource,
  ];
  return [...managed.values()]
    .filter(({ fields }) => !fields.isEmpty)
    .sort((a, b) => compareLists(rank(a), rank(b)))
    .map(({ manager, operation, apiVersion, subresource, time, fields }) => ({
      manager,
      operation,
      apiVersion,
      ...(time ? { time } : {}),
      fieldsType: 'FieldsV1',
      fieldsV1: fields.toJson(),
      ...(subresource ? { subresource } : {}),
    }));
}

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (const [index, text] of a.entries()) {
    const other = b[index]!;
    if (text !== other) return text < other ? -1 : 1;
  }
  return 0;
}

export function withManaged(object: KubeObject, managed: ManagedFields): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  const entries = encodeManaged(managed);
  return { ...object, metadata: entries.length > 0 ? { ...metadata, managedFields: entries } : metadata };
}

export function withoutManaged(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}

/** What this request cannot set, whoever sends it: status on the object itself, all but status on its status. */
export function ignoredFields(request: TrackedWrite): FieldSet {
  if (request.path.subresource === 'status') return FieldSet.fromPaths([['f:spec']]);
  return request.definition.status ? FieldSet.fromPaths([['f:status']]) : FieldSet.EMPTY;
}

export function stripServerFields(set: FieldSet): FieldSet {
  return set.difference(SERVER_FIELDS);
}

/** The empty object that a new one is compared with: what the type always has is not "added" by anybody. */
export function emptyObject(version: ServedVersion, custom: boolean): KubeObject {
  return (custom ? {} : decodeObject({}, version.node).value) as unknown as KubeObject;
}

/** managedFields of an object that is created: all of it is its creator's. Storage version in and out. */
export function trackCreate(object: KubeObject, request: TrackedWrite, manager: string): KubeObject {
  const { version, definition } = request;
  const managed = decodeManaged(object);
  const empty = emptyObject(version, definition.custom);
  const comparison = compareOrNothing(empty, toVersion(version, object), request);
  return comparison ? takeFields(object, comparison, managed, request, manager) : withoutManaged(object);
}

/** undefined for objects whose lists have items of one name: their fields cannot be told apart, and validation is near. */
function compareOrNothing(before: KubeObject, after: KubeObject, request: TrackedWrite): Comparison | undefined {
  try {
    return compareObjects(before, after, request);
  } catch (error) {
    if (error instanceof TypedValueError) return undefined;
    throw error;
  }
}

/** managedFields after a plain write. `object` may bring managedFields of its own: that is how they are edited. */
export function trackUpdate(object: KubeObject, old: KubeObject, request: TrackedWrite, manager: string): KubeObject {
  const managed = startingPoint(object, old, request);
  // Objects that nobody tracked from the start stay so until somebody applies them.
  if (managed === undefined) return withoutManaged(object);
  const { version } = request;
  const comparison = compareOrNothing(toVersion(version, old), toVersion(version, object), request);
  return comparison ? takeFields(object, comparison, managed, request, manager) : withManaged(object, managed);
}

function startingPoint(
  object: KubeObject,
  old: KubeObject,
  request: TrackedWrite,
): Map<string, ManagedSet> | undefined {
  const given = object.metadata['managedFields'];
  const reset = Array.isArray(given) && given.length === 1 && Object.keys(given[0] as object).length === 0;
  if (reset) return new Map();
  const live = decodeManaged(old);
  const edited = request.path.subresource === '' ? decodeManaged(object) : new Map<string, ManagedSet>();
  if (edited.size > 0) return edited;
  return live.size > 0 ? live : undefined;
}

export function compareObjects(before: KubeObject, after: KubeObject, request: TrackedWrite): Comparison {
  return compareValues(
    withoutManaged({ ...before, metadata: before.metadata ?? {} }),
    withoutManaged(after),
    request.version.node,
  );
}

function takeFields(
  object: KubeObject,
  comparison: Comparison,
  managed: Map<string, ManagedSet>,
  request: TrackedWrite,
  manager: string,
): KubeObject {
  const changed = comparison.added.union(comparison.modified);
  for (const [id, set] of managed) {
    managed.set(id, { ...set, fields: set.fields.difference(changed).difference(comparison.removed) });
  }
  const identity: Manager = {
    manager,
    operation: 'Update',
    apiVersion: groupVersion(request.version),
    subresource: request.path.subresource,
  };
  const taken = stripServerFields(changed.recursiveDifference(ignoredFields(request)));
  if (!taken.isEmpty) {
    const id = managerId(identity);
    const before = managed.get(id)?.fields ?? FieldSet.EMPTY;
    managed.set(id, { ...identity, time: now(request), fields: before.union(taken) });
  }
  return withManaged(object, managed);
}

export function now(request: TrackedWrite): string {
  return `${request.core.now().toISOString().slice(0, 19)}Z`;
}
