// SPDX-License-Identifier: Apache-2.0
import type { KubeObject, ObjectMeta } from '../../../kube/types.ts';
import { trackCreate } from '../apply/managed-fields.ts';
import { homeGroup, toVersion } from '../resources/definition.ts';
import { validateMetadata } from '../resources/metadata-validation.ts';
import { alreadyExists, badRequest, invalid, methodNotAllowed } from '../status.ts';
import { StoreConflict } from '../storage/store.ts';
import { prepareAdmission } from './admission.ts';
import {
  keyOf,
  type ResourceRequest,
  requestedResource,
  strategyContext,
  type WriteOptions,
  writeOptions,
} from './context.ts';
import { completeObject, decodeBody } from './decode-request.ts';
import { requireActiveNamespace } from './namespace-lifecycle.ts';

const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';
const SUFFIX_LENGTH = 5;
const MAX_GENERATED_NAME = 63;
const GENERATE_ATTEMPTS = 8;

/** POST on a collection. Gives the object as stored, in the request's version. */
export async function createFromBody(request: ResourceRequest): Promise<KubeObject> {
  const { definition, path } = request;
  if (path.name !== '') throw methodNotAllowed();
  if (definition.namespaced && path.namespace === '') throw methodNotAllowed();
  const options = writeOptions(request, 'CreateOptions');
  const decoded = await decodeBody(request, options);
  return createObject(request, decoded, options);
}

/** `decoded` is in the request's version, without defaults; it is changed. */
export async function createObject(
  request: ResourceRequest,
  decoded: KubeObject,
  options: WriteOptions,
  track: (object: KubeObject) => KubeObject = (object) => trackCreate(object, request, options.fieldManager),
): Promise<KubeObject> {
  const { core, definition, version, path } = request;
  placeInNamespace(decoded, path.namespace, definition.namespaced);
  if (decoded.metadata.resourceVersion) throw badRequest('resourceVersion should not be set on objects to be created');
  const type = requestedResource(request);
  const wanted = decoded.metadata.name ?? '';
  if (definition.namespaced) {
    requireActiveNamespace(core.store, path.namespace, type, wanted || (decoded.metadata.generateName ?? ''));
  }
  const completed = track(completeObject(decoded, definition, version));
  const admission = prepareAdmission(request, {
    operation: 'CREATE',
    name: wanted,
    object: completed,
    oldObject: undefined,
    options: optionsObject('CreateOptions', options),
    dryRun: options.dryRun,
  });
  const admitted = (await admission.mutate()) ?? completed;
  for (let attempt = 1; ; attempt++) {
    const object = stampNew(structuredClone(admitted), request);
    definition.strategy.prepareCreate?.(object, strategyContext(request, options.dryRun));
    validateNew(object, request, options);
    await admission.validate(object);
    if (definition.strategy.confirm?.(object, strategyContext(request, options.dryRun)) === false) continue;
    admission.confirm(object);
    try {
      return toVersion(version, store(object, request, options));
    } catch (error) {
      if (!(error instanceof StoreConflict)) throw error;
      const generated = wanted === '' && admitted.metadata.name === undefined;
      if (!generated || attempt === GENERATE_ATTEMPTS) throw alreadyExists(type, object.metadata.name ?? '');
    }
  }
}

/** metadata.namespace is that of the URL; another one is refused. */
export function placeInNamespace(object: KubeObject, namespace: string, namespaced: boolean): void {
  object.metadata ??= {};
  if (!namespaced) {
    delete object.metadata.namespace;
    return;
  }
  if (object.metadata.namespace && object.metadata.namespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
  object.metadata.namespace = namespace;
}

function stampNew(object: KubeObject, request: ResourceRequest): KubeObject {
  const { core, definition } = request;
  const { strategy } = definition;
  const meta: ObjectMeta = object.metadata;
  if (!meta.name && meta.generateName) meta.name = generateName(meta.generateName, core.random);
  meta.uid = core.newUid();
  meta.creationTimestamp = timestamp(core.now());
  for (const field of ['deletionTimestamp', 'deletionGracePeriodSeconds', 'selfLink', 'resourceVersion']) {
    delete meta[field];
  }
  if (strategy.generation) meta.generation = 1;
  if (!definition.status) return object;
  const status = strategy.initialStatus?.(object);
  if (status === undefined) delete object['status'];
  else object['status'] = status;
  return object;
}

/** RFC 3339 in whole seconds, as metav1.Time is written. */
export function timestamp(when: Date): string {
  return `${when.toISOString().slice(0, 19)}Z`;
}

export function generateName(base: string, random: () => number): string {
  const kept = base.slice(0, MAX_GENERATED_NAME - SUFFIX_LENGTH);
  const suffix = Array.from(
    { length: SUFFIX_LENGTH },
    () => SUFFIX_ALPHABET[Math.floor(random() * SUFFIX_ALPHABET.length)],
  );
  return kept + suffix.join('');
}

function validateNew(object: KubeObject, request: ResourceRequest, options: WriteOptions): void {
  const { definition, version } = request;
  const { strategy } = definition;
  const causes = [
    ...validateMetadata(object, strategy.nameRule),
    ...(definition.custom ? [] : (strategy.validate?.(object, strategyContext(request, options.dryRun)) ?? [])),
    ...(version.validateSchema?.(toVersion(version, object), undefined) ?? []),
    ...(definition.custom ? (strategy.validate?.(object, strategyContext(request, options.dryRun)) ?? []) : []),
  ];
  if (causes.length > 0) throw invalid(homeGroup(definition), definition.kind, object.metadata.name ?? '', causes);
}

function store(object: KubeObject, request: ResourceRequest, options: WriteOptions): KubeObject {
  const key = keyOf(request, object.metadata.name ?? '');
  if (!options.dryRun) return request.core.store.create(key, object).object;
  const current = request.core.store.get(key);
  if (current) throw new StoreConflict('exists', current);
  return object;
}

export function optionsObject(kind: string, options: WriteOptions): Record<string, unknown> {
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(options.dryRun ? { dryRun: ['All'] } : {}),
    ...(options.fieldManager ? { fieldManager: options.fieldManager } : {}),
    ...(options.fieldValidation !== 'Warn' ? { fieldValidation: options.fieldValidation } : {}),
  };
}
