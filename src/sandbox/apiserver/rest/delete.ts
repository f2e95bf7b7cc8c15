// SPDX-License-Identifier: Apache-2.0
// DELETE on objects and collections: preconditions, propagation, finalizers, and the grace period of pods.
import type { KubeObject, Status } from '../../../kube/types.ts';
import { toVersion } from '../resources/definition.ts';
import { builtinType } from '../schema/builtin.ts';
import { DecodeError, decodeObject } from '../schema/decode.ts';
import {
  badRequest,
  conflict,
  forbidden,
  invalid,
  methodNotAllowed,
  modified,
  notFound,
  type StatusCause,
} from '../status.ts';
import { StoreConflict, type StoredObject } from '../storage/store.ts';
import { invalidValue, unsupported } from '../validation/causes.ts';
import { prepareAdmission } from './admission.ts';
import { mediaType, parseObject, readBody } from './body.ts';
import { keyOf, type ResourceRequest, requestedResource } from './context.ts';
import { timestamp } from './create.ts';
import { isFinished } from './deletion-state.ts';
import { checkListOptions, selectStored } from './list.ts';
import { PROTECTED_NAMESPACES } from './namespace-lifecycle.ts';

export interface DeleteOptions {
  gracePeriodSeconds?: number;
  propagationPolicy?: string;
  orphanDependents?: boolean;
  preconditions?: { uid?: string; resourceVersion?: string };
  dryRun?: string[];
}

const DEFAULT_GRACE_SECONDS = 30;
const PROPAGATIONS = ['Foreground', 'Background', 'Orphan', 'nil'];
const ORPHAN = 'orphan';
const FOREGROUND = 'foregroundDeletion';
const RETRIES = 10;
/** Kinds whose deletion the real server marks with a time alone. */
const UNCOUNTED: ReadonlySet<string> = new Set(['Namespace', 'CustomResourceDefinition']);

/** Body and query of a DELETE; the body wins. Throws 400, 415, 422. */
async function readDeleteOptions(request: ResourceRequest): Promise<DeleteOptions> {
  const body = await readBody(request.request);
  const { query } = request;
  const options: DeleteOptions = {};
  const grace = query.get('gracePeriodSeconds');
  if (grace !== null) options.gracePeriodSeconds = Number(grace);
  const policy = query.get('propagationPolicy');
  if (policy !== null) options.propagationPolicy = policy;
  if (query.get('orphanDependents') !== null) options.orphanDependents = query.get('orphanDependents') === 'true';
  if (query.getAll('dryRun').length > 0) options.dryRun = query.getAll('dryRun');
  if (body.length > 0) {
    const node = builtinType(request.core.types, 'meta.v1.DeleteOptions');
    const { raw } = parseObject(body, mediaType(request.request), 'DeleteOptions', () => node);
    const { kind = '' } = raw;
    if (kind !== '' && kind !== 'DeleteOptions')
      throw badRequest(`expected DeleteOptions, got ${JSON.stringify(kind)}`);
    try {
      Object.assign(options, decodeObject(raw, node).value);
    } catch (error) {
      if (error instanceof DecodeError) throw badRequest(error.message);
      throw error;
    }
  }
  validateOptions(options);
  return options;
}

function validateOptions(options: DeleteOptions): void {
  const causes: StatusCause[] = [];
  const { propagationPolicy, gracePeriodSeconds, dryRun = [] } = options;
  if (propagationPolicy && !PROPAGATIONS.slice(0, 3).includes(propagationPolicy)) {
    causes.push(unsupported('propagationPolicy', propagationPolicy, PROPAGATIONS));
  }
  if (propagationPolicy && options.orphanDependents !== undefined) {
    causes.push(
      invalidValue(
        'propagationPolicy',
        propagationPolicy,
        'orphanDependents and deletionPropagation cannot be both set',
      ),
    );
  }
  if (gracePeriodSeconds !== undefined && !Number.isInteger(gracePeriodSeconds)) {
    causes.push(invalidValue('gracePeriodSeconds', String(gracePeriodSeconds), 'must be a whole number'));
  }
  if (dryRun.some((value) => value !== 'All')) causes.push(unsupported('dryRun', dryRun, ['All']));
  if (causes.length > 0) throw invalid('meta.k8s.io', 'DeleteOptions', '', causes);
}

/** Gives the answer's body: the object while it lives on, else a Status (or, for some kinds, its last state). */
export async function deleteOne(request: ResourceRequest): Promise<KubeObject | Status> {
  const options = await readDeleteOptions(request);
  return deleteNamed(request, request.path.name, options);
}

export async function deleteNamed(
  request: ResourceRequest,
  name: string,
  options: DeleteOptions,
): Promise<KubeObject | Status> {
  const type = requestedResource(request);
  for (let attempt = 1; ; attempt++) {
    const current = request.core.store.get(keyOf(request, name));
    if (!current) throw notFound(type, name);
    if (request.definition.kind === 'Namespace' && PROTECTED_NAMESPACES.includes(name)) {
      throw forbidden(type, name, 'this namespace may not be deleted');
    }
    checkPreconditions(current.object, options, request, name);
    await admitDeletion(request, name, current.object, options);
    try {
      return deleteCurrent(request, current, options);
    } catch (error) {
      if (!(error instanceof StoreConflict)) throw error;
      if (attempt === RETRIES) throw modified(type, name);
    }
  }
}

function checkPreconditions(object: KubeObject, options: DeleteOptions, request: ResourceRequest, name: string): void {
  const { uid, resourceVersion } = options.preconditions ?? {};
  // The real server names the kind here where it names the resource elsewhere.
  const type = { group: request.version.group, resource: request.definition.kind };
  if (uid && uid !== object.metadata.uid) {
    throw conflict(
      type,
      name,
      `the UID in the precondition (${uid}) does not match the UID in record (${object.metadata.uid}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion && resourceVersion !== object.metadata.resourceVersion) {
    throw conflict(
      type,
      name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${object.metadata.resourceVersion}). The object might have been modified`,
    );
  }
}

async function admitDeletion(
  request: ResourceRequest,
  name: string,
  old: KubeObject,
  options: DeleteOptions,
): Promise<void> {
  const admission = prepareAdmission(request, {
    operation: 'DELETE',
    name,
    object: undefined,
    oldObject: old,
    options: { kind: 'DeleteOptions', apiVersion: 'meta.k8s.io/v1', ...options },
    dryRun: isDryRun(options),
  });
  await admission.mutate();
  await admission.validate(undefined);
}

const isDryRun = (options: DeleteOptions) => (options.dryRun?.length ?? 0) > 0;

function deleteCurrent(request: ResourceRequest, current: StoredObject, options: DeleteOptions): KubeObject | Status {
  const { core, version } = request;
  const marked = markForDeletion(request, current.object, options);
  if (isDryRun(options)) return isFinished(marked) ? deleted(request, marked) : toVersion(version, marked);
  const unchanged = JSON.stringify(marked) === JSON.stringify(current.object);
  if (isFinished(marked)) {
    // What has a grace period is seen to be deleted before it is gone, even where the period is none.
    const last = isPod(marked) && !unchanged ? core.store.update(current.key, marked, current.revision) : current;
    return deleted(request, core.store.delete(last.key, last.revision).object);
  }
  if (unchanged) return toVersion(version, current.object);
  return toVersion(version, core.store.update(current.key, marked, current.revision).object);
}

function deleted(request: ResourceRequest, object: KubeObject): KubeObject | Status {
  const { definition, version } = request;
  if (definition.deleteReturnsObject) return toVersion(version, object);
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: object.metadata.name ?? '',
      ...(version.group ? { group: version.group } : {}),
      kind: definition.resource,
      uid: object.metadata.uid ?? '',
    },
  };
}

/** The object with its deletion marked: finalizers of the propagation, the time, the grace period. */
function markForDeletion(request: ResourceRequest, object: KubeObject, options: DeleteOptions): KubeObject {
  const grace = gracePeriod(object, options);
  const finalizers = propagationFinalizers(object, options);
  const meta = { ...object.metadata };
  if (finalizers.length > 0) meta.finalizers = finalizers;
  else delete meta.finalizers;
  const already = meta.deletionTimestamp !== undefined;
  const shorter = already && grace < (meta.deletionGracePeriodSeconds ?? 0);
  if (!already || shorter) {
    meta.deletionTimestamp = timestamp(new Date(request.core.now().getTime() + grace * 1000));
    meta.deletionGracePeriodSeconds = grace;
  }
  const plain = UNCOUNTED.has(request.definition.kind) && !request.definition.custom;
  if (plain) delete meta.deletionGracePeriodSeconds;
  else if (!already && request.definition.strategy.generation && meta.generation !== undefined) meta.generation += 1;
  const marked: KubeObject = { ...object, metadata: meta };
  if (!already) request.definition.strategy.prepareDelete?.(marked, timestamp(request.core.now()));
  if (request.definition.kind === 'Namespace' && !request.definition.custom) {
    marked['status'] = { ...(object['status'] as object | undefined), phase: 'Terminating' };
  }
  return marked;
}

function isPod(object: KubeObject): boolean {
  return object.kind === 'Pod' && object.apiVersion === 'v1';
}

/** Only pods that run somewhere get one: a kubelet has to end them. */
function gracePeriod(object: KubeObject, options: DeleteOptions): number {
  if (!isPod(object)) return 0;
  const spec = object['spec'] as { nodeName?: string; terminationGracePeriodSeconds?: number };
  const phase = (object['status'] as { phase?: string } | undefined)?.phase;
  if (!spec.nodeName || phase === 'Succeeded' || phase === 'Failed') return 0;
  const wanted = options.gracePeriodSeconds ?? spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
  return wanted < 0 ? 1 : wanted;
}

function propagationFinalizers(object: KubeObject, options: DeleteOptions): string[] {
  const others = (object.metadata.finalizers ?? []).filter((one) => one !== ORPHAN && one !== FOREGROUND);
  const policy = options.propagationPolicy ?? (options.orphanDependents === true ? 'Orphan' : undefined);
  if (policy === 'Orphan') return [...others, ORPHAN];
  if (policy === 'Foreground') return [...others, FOREGROUND];
  // Without a policy, what the object itself says counts.
  return policy === undefined && options.orphanDependents === undefined
    ? [...(object.metadata.finalizers ?? [])]
    : others;
}

/** DELETE on a collection: one by one, by the list's selectors. Gives the list of what was deleted. */
export async function deleteCollection(request: ResourceRequest): Promise<KubeObject> {
  const options = await readDeleteOptions(request);
  const { definition, version, core } = request;
  // Namespaces are deleted one at a time.
  if (definition.kind === 'Namespace' && !definition.custom) throw methodNotAllowed();
  checkListOptions(request.query);
  const selected = selectStored(request);
  const resourceVersion = String(core.store.revision);
  for (const { key } of selected) {
    try {
      await deleteNamed({ ...request, path: { ...request.path, namespace: key.namespace } }, key.name, options);
    } catch (error) {
      // Somebody else was faster.
      if ((error as { code?: number }).code !== 404) throw error;
    }
  }
  const items = selected.map(({ object }) => {
    const { kind: _, apiVersion: __, ...rest } = toVersion(version, object);
    return definition.custom ? toVersion(version, object) : rest;
  });
  const apiVersion = version.group ? `${version.group}/${version.version}` : version.version;
  return { kind: definition.listKind, apiVersion, metadata: { resourceVersion }, items };
}
