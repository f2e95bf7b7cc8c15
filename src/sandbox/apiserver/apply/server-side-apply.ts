// SPDX-License-Identifier: Apache-2.0
// Server-side apply: an object is the sum of what its managers say, and a field of another manager is a conflict.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/
import type { KubeObject } from '../../../kube/types.ts';
import { groupVersion } from '../resources/definition.ts';
import { keyOf, type ResourceRequest, type WriteOptions } from '../rest/context.ts';
import { createObject } from '../rest/create.ts';
import { decodeRaw } from '../rest/decode-request.ts';
import { changeObject, type Written } from '../rest/update.ts';
import { DecodeError, isRecord } from '../schema/decode.ts';
import { ApiError, badRequest, invalid, notFound } from '../status.ts';
import { forbiddenField, required } from '../validation/causes.ts';
import { FieldSet, pathText } from './field-set.ts';
import {
  compareObjects,
  decodeManaged,
  emptyObject,
  ignoredFields,
  type ManagedFields,
  type ManagedSet,
  type Manager,
  managerId,
  now,
  stripServerFields,
  withManaged,
  withoutManaged,
} from './managed-fields.ts';
import {
  compareValues,
  fieldSetOf,
  mergeValues,
  removeFields,
  TypedValueError,
  withNamedMembers,
} from './typed-value.ts';

const BEFORE_FIRST_APPLY = 'before-first-apply';
/** The manager that `kubectl apply --server-side` calls itself. */
const KUBECTL = 'kubectl';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

interface Applied {
  /** In the request's version, without managedFields. */
  readonly object: KubeObject;
  readonly managed: ManagedFields;
}

/** PATCH with application/apply-patch+yaml. */
export async function applyFromBody(request: ResourceRequest, body: unknown, options: WriteOptions): Promise<Written> {
  const force = request.query.get('force') === 'true';
  checkOptions(request);
  const config = readConfig(request, body);
  const manager: Manager = {
    manager: options.fieldManager,
    operation: 'Apply',
    apiVersion: groupVersion(request.version),
    subresource: request.path.subresource,
  };
  const current = request.core.store.get(keyOf(request));
  if (!current) {
    if (request.path.subresource !== '')
      throw notFound({ group: request.version.group, resource: request.definition.resource }, request.path.name);
    return { object: await createApplied(request, config, manager, options), created: true };
  }
  let applied: Applied | undefined;
  const object = await changeObject(request, {
    options,
    build(live) {
      applied = applyConfig(live, config, manager, force, request);
      return decoded(applied.object, request);
    },
    track: (next) => withManaged(next, applied!.managed),
  });
  return { object, created: false };
}

function checkOptions(request: ResourceRequest): void {
  const causes = [];
  if (!request.query.get('fieldManager')) causes.push(required('fieldManager', 'is required for apply patch'));
  if (causes.length > 0) throw invalid('meta.k8s.io', 'PatchOptions', '', causes);
}

/** `force` belongs to apply alone. Throws 422. */
export function refuseForce(request: ResourceRequest): void {
  if (request.query.get('force') === null) return;
  throw invalid('meta.k8s.io', 'PatchOptions', '', [
    forbiddenField('force', 'may not be specified for non-apply patch'),
  ]);
}

function readConfig(request: ResourceRequest, body: unknown): KubeObject {
  const { version, definition, path } = request;
  if (!isRecord(body)) throw badRequest('error decoding YAML: the applied configuration must be an object');
  const config = structuredClone(body) as unknown as KubeObject;
  config.metadata ??= {};
  if (!isRecord(config.metadata)) throw badRequest('error decoding YAML: metadata must be an object');
  if (config.metadata['managedFields'] !== undefined && config.metadata['managedFields'] !== null) {
    throw badRequest('metadata.managedFields must be nil');
  }
  delete config.metadata['managedFields'];
  const expected = groupVersion(version);
  if (config.apiVersion !== expected || config.kind !== definition.kind) {
    throw badRequest(
      `incorrect version specified in apply patch. Specified patch version: ${JSON.stringify(config.apiVersion ?? '').replace(/^"(.*)"$/, '$1')}, expected: ${expected}`,
    );
  }
  if (config.metadata.name && config.metadata.name !== path.name) {
    throw badRequest(
      `the name of the object (${JSON.stringify(config.metadata.name).replace(/^"(.*)"$/, '$1')}) does not match the name on the URL (${path.name})`,
    );
  }
  config.metadata.name = path.name;
  if (definition.namespaced) config.metadata.namespace ??= path.namespace;
  checkTyped(config, request);
  return config;
}

/** Every field must be one of the schema, and every list item must have a name of its own. */
function checkTyped(config: KubeObject, request: ResourceRequest): void {
  const { name, namespace } = config.metadata;
  const place = namespace ? `${namespace}/${name}` : name;
  const subject = `(${place}; ${config.apiVersion}, Kind=${config.kind})`;
  const refuse = (why: string) =>
    new ApiError(500, undefined, `failed to create typed patch object ${subject}: ${why}`);
  try {
    const { unknownFields } = decodeRaw(
      config as unknown as Record<string, unknown>,
      request.definition,
      request.version,
      request.core,
    );
    if (unknownFields.length > 0) {
      throw refuse(unknownFields.map((path) => `.${path}: field not declared in schema`).join(', '));
    }
    fieldSetOf(config, request.version.node);
  } catch (error) {
    if (error instanceof TypedValueError || error instanceof DecodeError) throw refuse(error.message);
    throw error;
  }
}

function decoded(object: KubeObject, request: ResourceRequest): KubeObject {
  const raw = structuredClone(object) as unknown as Record<string, unknown>;
  return decodeRaw(raw, request.definition, request.version, request.core).value as unknown as KubeObject;
}

async function createApplied(
  request: ResourceRequest,
  config: KubeObject,
  manager: Manager,
  options: WriteOptions,
): Promise<KubeObject> {
  const empty = emptyObject(request.version, request.definition.custom);
  const { managed } = applyConfig({ ...empty, metadata: {} }, config, manager, true, request);
  return createObject(request, decoded(config, request), options, (object) => withManaged(object, managed));
}

/** `live` is frozen, in the request's version. Throws the 409 of a conflict. */
function applyConfig(
  live: KubeObject,
  config: KubeObject,
  manager: Manager,
  force: boolean,
  request: ResourceRequest,
): Applied {
  const { node } = request.version;
  const managed = liveManagers(live, request);
  const id = managerId(manager);
  const last = managed.get(id);
  const base = withoutManaged(live);
  const ignored = ignoredFields(request);
  const applied = fieldSetOf(config, node).recursiveDifference(ignored);
  const set = stripServerFields(applied);
  // With its name: metadata is this manager's too, and does not go with the last label of it.
  managed.set(id, { ...manager, time: last?.time, fields: applied });
  const merged = mergeValues(base, removeFields(config, ignored, node), node);
  const pruned = last ? prune(merged, managed, last.fields, request) : merged;
  const object = pruned as KubeObject;
  const yielded = manager.manager === KUBECTL ? clientSideFields(base, request) : FieldSet.EMPTY;
  settleConflicts(base, object, managed, id, { force, yielded }, request);
  // The time is that of the last change to the object, not of the last word about it.
  const time = isSame(base, object, request) ? last?.time : now(request);
  managed.set(id, { ...manager, fields: set, time });
  return { object: manager.manager === KUBECTL ? syncLastApplied(object, base, config) : object, managed };
}

/**
 * What client-side apply set and nobody changed since: kubectl's server-side apply takes it over without a conflict.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/#migration-between-client-side-and-server-side-apply
 */
function clientSideFields(live: KubeObject, request: ResourceRequest): FieldSet {
  const text = live.metadata.annotations?.[LAST_APPLIED];
  if (!text) return FieldSet.EMPTY;
  try {
    const applied = JSON.parse(text) as KubeObject;
    const { node } = request.version;
    const { added, modified, removed } = compareValues(applied, live, node);
    return fieldSetOf(applied, node).difference(added).difference(modified).difference(removed);
  } catch {
    // Whoever wrote that was not kubectl.
    return FieldSet.EMPTY;
  }
}

/** The annotation of client-side apply stays true while an object has one. */
function syncLastApplied(object: KubeObject, live: KubeObject, config: KubeObject): KubeObject {
  if (
    live.metadata.annotations?.[LAST_APPLIED] === undefined ||
    object.metadata.annotations?.[LAST_APPLIED] === undefined
  )
    return object;
  const annotations = { ...object.metadata.annotations, [LAST_APPLIED]: `${JSON.stringify(sorted(config))}\n` };
  return { ...object, metadata: { ...object.metadata, annotations } };
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  );
}

/** An object that was never tracked belongs to whoever was there before the first apply. */
function liveManagers(live: KubeObject, request: ResourceRequest): Map<string, ManagedSet> {
  const managed = decodeManaged(live);
  if (managed.size > 0 || !live.metadata.uid) return managed;
  const owner: Manager = {
    manager: BEFORE_FIRST_APPLY,
    operation: 'Update',
    apiVersion: groupVersion(request.version),
    subresource: '',
  };
  const { added, modified } = compareObjects(emptyObject(request.version, request.definition.custom), live, request);
  const fields = stripServerFields(added.union(modified).recursiveDifference(ignoredFields(request)));
  managed.set(managerId(owner), { ...owner, time: now(request), fields });
  return managed;
}

function isSame(before: KubeObject, after: KubeObject, request: ResourceRequest): boolean {
  const { added, modified, removed } = compareValues(before, after, request.version.node);
  return added.isEmpty && modified.isEmpty && removed.isEmpty;
}

/** Takes away what this manager set the last time, says no more, and nobody else has. */
function prune(merged: unknown, managed: ManagedFields, last: FieldSet, request: ResourceRequest): unknown {
  const { node } = request.version;
  const named = (set: FieldSet) => withNamedMembers(set, node);
  let pruned = removeFields(merged, named(last), node) ?? {};
  const owned = [...managed.values()].reduce((sum, { fields }) => sum.union(fields), FieldSet.EMPTY);
  const mergedSet = named(fieldSetOf(merged, node));
  const keep = named(fieldSetOf(pruned, node)).union(named(owned));
  pruned = removeFields(merged, mergedSet.difference(keep), node) ?? {};
  // Items that hang on nothing that was this manager's come back.
  const dangling = mergedSet.difference(named(fieldSetOf(pruned, node))).intersection(named(last));
  return removeFields(merged, dangling, node) ?? {};
}

function settleConflicts(
  before: KubeObject,
  after: KubeObject,
  managed: Map<string, ManagedSet>,
  id: string,
  terms: { readonly force: boolean; readonly yielded: FieldSet },
  request: ResourceRequest,
): void {
  const { added, modified, removed } = compareValues(before, after, request.version.node);
  const changed = added.union(modified);
  const conflicts = [...managed].flatMap(([other, set]) => {
    const fields = other === id ? FieldSet.EMPTY : set.fields.intersection(changed).difference(terms.yielded);
    return fields.isEmpty ? [] : [{ set, fields }];
  });
  if (conflicts.length > 0 && !terms.force) throw conflictError(conflicts);
  for (const [other, set] of managed) {
    if (other === id) continue;
    managed.set(other, { ...set, fields: set.fields.difference(changed).difference(removed) });
  }
}

interface Conflict {
  readonly set: ManagedSet;
  readonly fields: FieldSet;
}

function conflictError(conflicts: readonly Conflict[]): ApiError {
  const all = conflicts.flatMap(({ set, fields }) =>
    [...fields.paths()].map((path) => ({ who: managerText(set), field: pathText(path) })),
  );
  const first = all[0]!;
  const text =
    all.length === 1
      ? `conflict with ${first.who}: ${first.field}`
      : [...new Set(all.map(({ who }) => who))]
          .sort()
          .map((who) =>
            [`conflicts with ${who}:`, ...all.filter((one) => one.who === who).map(({ field }) => `- ${field}`)].join(
              '\n',
            ),
          )
          .join('\n');
  return new ApiError(
    409,
    'Conflict',
    `Apply failed with ${all.length} conflict${all.length === 1 ? '' : 's'}: ${text}`,
    {
      causes: all.map(({ who, field }) => ({ reason: 'FieldManagerConflict', message: `conflict with ${who}`, field })),
    },
  );
}

function managerText({ manager, operation, apiVersion, subresource }: Manager): string {
  const name = JSON.stringify(manager) + (subresource ? ` with subresource ${JSON.stringify(subresource)}` : '');
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}
