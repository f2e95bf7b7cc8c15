// SPDX-License-Identifier: Apache-2.0
// PUT and, with a build step of their own, every kind of PATCH: one way into the store for changes.
import type { KubeObject } from '../../../kube/types.ts';
import { trackUpdate } from '../apply/managed-fields.ts';
import { sameJson } from '../crd/schema-validation.ts';
import { toVersion } from '../resources/definition.ts';
import { validateMetadata, validateMetadataUpdate } from '../resources/metadata-validation.ts';
import { badRequest, conflict, invalid, methodNotAllowed, modified, notFound, type StatusCause } from '../status.ts';
import { StoreConflict, type StoredObject } from '../storage/store.ts';
import { invalidValue } from '../validation/causes.ts';
import { prepareAdmission } from './admission.ts';
import {
  keyOf,
  type ResourceRequest,
  requestedResource,
  strategyContext,
  type WriteOptions,
  writeOptions,
} from './context.ts';
import { createObject, optionsObject, placeInNamespace } from './create.ts';
import { completeObject, decodeBody } from './decode-request.ts';
import { isFinished } from './deletion-state.ts';

/** Kinds that a PUT may create. */
const CREATED_BY_PUT: ReadonlySet<string> = new Set([
  'Lease',
  'Endpoints',
  'Event',
  'Role',
  'RoleBinding',
  'ClusterRole',
  'ClusterRoleBinding',
]);
/** Kinds whose PUT must carry a resourceVersion. */
const CONDITIONAL_ONLY: ReadonlySet<string> = new Set(['CustomResourceDefinition', 'Lease']);
const RETRIES = 10;

export interface Written {
  readonly object: KubeObject;
  readonly created: boolean;
}

export interface Change {
  readonly options: WriteOptions;
  /**
   * What the object shall be, in the request's version and without defaults, from what it is (frozen, same version).
   * Called anew when somebody else wrote in between.
   */
  build(current: KubeObject): KubeObject | Promise<KubeObject>;
  /** Managed fields after the change; default: those of an update. `object` and `current` are in the storage version. */
  track?(object: KubeObject, current: KubeObject): KubeObject;
}

/** PUT on an object or on its status. */
export async function replaceFromBody(request: ResourceRequest): Promise<Written> {
  const { core, definition, path } = request;
  if (path.name === '') throw methodNotAllowed();
  const options = writeOptions(request, 'UpdateOptions');
  const given = await decodeBody(request, options);
  given.metadata ??= {};
  if (given.metadata.name && given.metadata.name !== path.name) {
    throw badRequest(
      `the name of the object (${given.metadata.name}) does not match the name on the URL (${path.name})`,
    );
  }
  given.metadata.name = path.name;
  placeInNamespace(given, path.namespace, definition.namespaced);
  const current = core.store.get(keyOf(request));
  if (!current && CREATED_BY_PUT.has(definition.kind) && path.subresource === '' && !given.metadata.resourceVersion) {
    return { object: await createObject(request, given, options), created: true };
  }
  const conditional = definition.custom || CONDITIONAL_ONLY.has(definition.kind);
  if (current && conditional && !given.metadata.resourceVersion) {
    const cause = invalidValue('metadata.resourceVersion', 0, 'must be specified for an update');
    throw invalid(request.version.group, definition.resource, path.name, [cause]);
  }
  const object = await changeObject(request, {
    options,
    build: () => structuredClone(given),
  });
  return { object, created: false };
}

/** Reads, builds, admits, validates and writes; retries when the object changed meanwhile and the change allows it. */
export async function changeObject(request: ResourceRequest, change: Change): Promise<KubeObject> {
  const type = requestedResource(request);
  for (let attempt = 1; ; attempt++) {
    const current = request.core.store.get(keyOf(request));
    if (!current) throw notFound(type, request.path.name);
    try {
      return await changeOnce(request, change, current);
    } catch (error) {
      if (!(error instanceof StoreConflict)) throw error;
      if (!error.current) throw notFound(type, request.path.name);
      if (attempt === RETRIES) throw modified(type, request.path.name);
    }
  }
}

async function changeOnce(request: ResourceRequest, change: Change, current: StoredObject): Promise<KubeObject> {
  const { definition, version, core } = request;
  const old = current.object;
  const built = await change.build(toVersion(version, old));
  checkIdentity(built, request, current);
  const completed = completeObject(built, definition, version);
  const kept = keepServerFields(completed, old, request);
  const merged = change.track?.(kept, old) ?? tracked(kept, completed, old, request, change.options);
  const { dryRun } = change.options;
  const admission = prepareAdmission(request, {
    operation: 'UPDATE',
    name: request.path.name,
    object: merged,
    oldObject: old,
    // Patches, too, are updates to admission.
    options: optionsObject('UpdateOptions', change.options),
    dryRun,
  });
  const admitted = (await admission.mutate()) ?? merged;
  const object = keepServerFields(structuredClone(admitted), old, request);
  const context = strategyContext(request, dryRun);
  if (request.path.subresource === '') definition.strategy.prepareUpdate?.(object, old, context);
  countGeneration(object, old, request);
  validateChanged(object, old, request, change.options);
  await admission.validate(object);
  if (definition.strategy.confirm?.(object, context) === false) throw new StoreConflict('allocation', current);
  if (sameApartFromTimes(object, old)) return toVersion(version, old);
  admission.confirm(object);
  if (dryRun) return toVersion(version, object);
  if (isFinished(object)) {
    // Its watchers see the deletion alone, not a last change before it.
    core.store.delete(current.key, current.revision);
    return toVersion(version, object);
  }
  return toVersion(version, core.store.update(current.key, object, current.revision).object);
}

/** `kept` with managed fields; those of a custom resource's status count what the client wanted of metadata too. */
function tracked(
  kept: KubeObject,
  wanted: KubeObject,
  old: KubeObject,
  request: ResourceRequest,
  { fieldManager }: WriteOptions,
): KubeObject {
  if (!request.definition.custom || request.path.subresource !== 'status') {
    return trackUpdate(kept, old, request, fieldManager);
  }
  const { labels, annotations } = wanted.metadata;
  const asked = {
    ...kept,
    metadata: { ...kept.metadata, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
  };
  const { managedFields } = trackUpdate(asked, old, request, fieldManager).metadata;
  return { ...kept, metadata: { ...kept.metadata, managedFields } };
}

function checkIdentity(built: KubeObject, request: ResourceRequest, current: StoredObject): void {
  const type = requestedResource(request);
  const { name } = request.path;
  if (built.metadata.name !== name) {
    throw badRequest(
      `the name of the object (${built.metadata.name ?? ''}) does not match the name on the URL (${name})`,
    );
  }
  placeInNamespace(built, request.path.namespace, request.definition.namespaced);
  const { resourceVersion, uid } = built.metadata;
  if (resourceVersion && resourceVersion !== current.object.metadata.resourceVersion) throw modified(type, name);
  if (uid && uid !== current.object.metadata.uid && request.request.method === 'PUT') {
    const record = current.object.metadata.uid ?? '';
    throw conflict(type, name, `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${record}`);
  }
}

/** What clients cannot write: identity, deletion, and status or everything but status. */
function keepServerFields(object: KubeObject, old: KubeObject, request: ResourceRequest): KubeObject {
  const { definition, path } = request;
  const meta = { ...object.metadata };
  for (const field of [
    'creationTimestamp',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generation',
    'selfLink',
    'resourceVersion',
  ]) {
    if (old.metadata[field] === undefined) delete meta[field];
    else meta[field] = old.metadata[field];
  }
  meta.uid ??= old.metadata.uid!;
  if (path.subresource === 'status') {
    // Labels and annotations may come along with a status, except those of custom resources.
    const metadata = definition.custom ? { ...old.metadata, managedFields: meta['managedFields'] } : meta;
    return withStatus({ ...old, metadata }, object['status']);
  }
  const part = definition.parts[path.subresource];
  // Its managers are noted like everybody else's.
  if (part) return { ...part.keep(object, old), metadata: { ...old.metadata, managedFields: meta['managedFields'] } };
  const kept: KubeObject = { ...object, metadata: meta };
  return definition.status ? withStatus(kept, old['status']) : kept;
}

function withStatus(object: KubeObject, status: unknown): KubeObject {
  const { status: _, ...rest } = object;
  return (status === undefined ? rest : { ...rest, status }) as KubeObject;
}

function countGeneration(object: KubeObject, old: KubeObject, request: ResourceRequest): void {
  if (!request.definition.strategy.generation || request.path.subresource === 'status') return;
  const before = old.metadata.generation ?? 1;
  object.metadata.generation = sameJson(substance(object), substance(old)) ? before : before + 1;
}

function substance(object: KubeObject): Record<string, unknown> {
  const { metadata: _, status: __, ...rest } = object;
  return rest;
}

function validateChanged(object: KubeObject, old: KubeObject, request: ResourceRequest, options: WriteOptions): void {
  const { definition, version, path } = request;
  const { strategy } = definition;
  const status = path.subresource === 'status';
  const part = definition.parts[path.subresource];
  const context = strategyContext(request, options.dryRun);
  const frozen = status || part ? [] : (strategy.immutable?.(object, old) ?? []);
  if (frozen.length > 0) throw invalid(version.group, definition.kind, object.metadata.name ?? '', frozen);
  const schemaCauses = version.validateSchema?.(toVersion(version, object), toVersion(version, old)) ?? [];
  const causes: StatusCause[] = [
    ...validateMetadata(object, () => undefined),
    ...validateMetadataUpdate(object, old),
    // The real server checks this twice, once for all kinds and once in each, and says so twice.
    ...(definition.custom ? [] : validateMetadataUpdate(object, old)),
    ...(status ? schemaCauses.map(asSeenFromStatus) : schemaCauses),
    ...((status ? strategy.validateStatus?.(object, old) : strategy.validate?.(object, context)) ?? []),
    ...((status || part ? [] : strategy.validateUpdate?.(object, old, context)) ?? []),
    ...(part?.validate(object, old) ?? []),
  ];
  if (causes.length > 0) throw invalid(version.group, definition.kind, object.metadata.name ?? '', causes);
}

/** The status subresource is validated by itself: messages call its members by their place in it, fields do not. */
function asSeenFromStatus(cause: StatusCause): StatusCause {
  return { ...cause, message: cause.message.replace(/: status\.(\S+ in body)/, ': $1') };
}

/** A change of nothing is not written: no new resourceVersion, no event. */
function sameApartFromTimes(object: KubeObject, old: KubeObject): boolean {
  return sameJson(withoutTimes(object), withoutTimes(old));
}

function withoutTimes(object: KubeObject): unknown {
  const managed = object.metadata['managedFields'];
  const timeless = Array.isArray(managed)
    ? managed.map((entry: Record<string, unknown>) => ({ ...entry, time: undefined }))
    : undefined;
  const clean = JSON.parse(
    JSON.stringify({
      ...object,
      metadata: { ...object.metadata, resourceVersion: undefined, managedFields: timeless },
    }),
  );
  return clean;
}
