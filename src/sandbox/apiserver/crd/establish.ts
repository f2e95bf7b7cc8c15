// SPDX-License-Identifier: Apache-2.0
// Brings CustomResourceDefinitions to life and to their end: names accepted, served at once, instances removed with
// the definition.
import type { KubeObject } from '../../../kube/types.ts';
import type { ResourceDefinition } from '../resources/definition.ts';
import type { Registry } from '../resources/registry.ts';
import { isFinished } from '../rest/deletion-state.ts';
import type { ObjectNode } from '../schema/node.ts';
import type { ObjectStore, StoredObject } from '../storage/store.ts';
import { CLEANUP_FINALIZER } from './cleanup-finalizer.ts';
import { buildCustomDefinition, type CrdObject } from './definition.ts';
import { sameJson } from './schema-validation.ts';

const KEY = 'customresourcedefinitions.apiextensions.k8s.io';

export interface EstablishInputs {
  readonly store: ObjectStore;
  readonly registry: Registry;
  /** The built-in ObjectMeta. */
  readonly metadata: ObjectNode;
  readonly now: () => string;
  /** Managed fields of a status that the server writes. */
  readonly track: (object: KubeObject, old: KubeObject) => KubeObject;
  readonly log: (level: 'info' | 'warn' | 'error', message: string, fields?: Record<string, unknown>) => void;
}

/** Serves what is stored already, then follows changes until the returned function is called. */
export function establishCustomResources(inputs: EstablishInputs): () => void {
  const { store } = inputs;
  const waiting = new Set<string>();
  const settle = (stored: StoredObject) => {
    const current = store.get(stored.key);
    if (!current) return;
    try {
      settleDefinition(current, inputs, waiting);
    } catch (error) {
      inputs.log('error', 'custom resource definition not served', { name: stored.key.name, error: String(error) });
    }
  };
  for (const stored of store.list(KEY)) settle(stored);
  return store.subscribe(KEY, ({ type, stored }) => {
    if (type === 'DELETED') {
      inputs.registry.setCustom(stored.key.name, undefined);
      // Its names are free for whoever waited for them.
      for (const other of store.list(KEY)) queueMicrotask(() => settle(other));
      return;
    }
    // In a turn of its own: the write that brought us here is to be answered first, as it was.
    queueMicrotask(() => settle(stored));
  });
}

/** `waiting`: definitions whose last instance is being waited for. */
function settleDefinition(stored: StoredObject, inputs: EstablishInputs, waiting: Set<string>): void {
  const crd = stored.object as CrdObject;
  if (crd.metadata.deletionTimestamp) {
    // Still served, so that whoever holds an instance back can let it go.
    inputs.registry.setCustom(crd.metadata.name!, buildCustomDefinition(crd, inputs.metadata));
    cleanUp(stored, inputs, waiting);
    return;
  }
  const rival = conflictingName(crd, inputs.registry);
  if (rival) {
    inputs.log('warn', 'custom resource names taken', { name: crd.metadata.name, rival });
    writeStatus(stored, inputs, [
      condition('NamesAccepted', 'False', 'NotAccepted', `names are in use by ${rival}`),
      condition('Established', 'False', 'NotAccepted', 'not all names are accepted'),
    ]);
    return;
  }
  inputs.registry.setCustom(crd.metadata.name!, buildCustomDefinition(crd, inputs.metadata));
  writeStatus(stored, inputs, [
    condition('NamesAccepted', 'True', 'NoConflicts', 'no conflicts found'),
    condition('Established', 'True', 'InitialNamesAccepted', 'the initial names have been accepted'),
  ]);
}

/** Another definition of the same group that has one of the names already. */
function conflictingName(crd: CrdObject, registry: Registry): string | undefined {
  const { group, names } = crd.spec;
  const taken = (one: ResourceDefinition) =>
    one.kind === names.kind ||
    one.listKind === names.kind ||
    one.resource === names.plural ||
    one.singular === names.singular;
  const rival = registry
    .definitions()
    .find(
      (one) =>
        one.storageKey !== `${names.plural}.${group}` &&
        one.served.some((version) => version.group === group) &&
        taken(one),
    );
  return rival?.storageKey;
}

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly lastTransitionTime?: string;
}

function condition(type: string, status: string, reason: string, message: string): Condition {
  return { type, status, reason, message };
}

function writeStatus(stored: StoredObject, inputs: EstablishInputs, conditions: readonly Condition[]): void {
  const crd = stored.object as CrdObject;
  const before = crd.status?.conditions ?? [];
  const merged = conditions.map((one) => {
    const old = before.find(({ type, status }) => type === one.type && status === one.status);
    return { lastTransitionTime: old?.lastTransitionTime ?? inputs.now(), ...one };
  });
  const accepted = conditions[0]?.status === 'True';
  const status = { ...crd.status, conditions: merged, ...(accepted ? { acceptedNames: crd.spec.names } : {}) };
  const next: KubeObject = { ...crd, status };
  if (!sameJson(status, crd.status)) inputs.store.update(stored.key, inputs.track(next, crd), stored.revision);
}

/** Deletes the instances; once none is left, lets the definition go. */
function cleanUp(stored: StoredObject, inputs: EstablishInputs, waiting: Set<string>): void {
  const { store } = inputs;
  const crd = stored.object as CrdObject;
  const key = `${crd.spec.names.plural}.${crd.spec.group}`;
  for (const instance of store.list(key)) {
    const { object } = instance;
    if ((object.metadata.finalizers?.length ?? 0) === 0) store.delete(instance.key, instance.revision);
    else if (!object.metadata.deletionTimestamp) {
      const metadata = { ...object.metadata, deletionTimestamp: inputs.now(), deletionGracePeriodSeconds: 0 };
      store.update(instance.key, { ...object, metadata }, instance.revision);
    }
  }
  if (store.list(key).length > 0) {
    if (waiting.has(key)) return;
    waiting.add(key);
    const unsubscribe = store.subscribe(key, () => {
      if (store.list(key).length > 0) return;
      unsubscribe();
      waiting.delete(key);
      const current = store.get(stored.key);
      if (current) release(current, inputs);
    });
    return;
  }
  release(stored, inputs);
}

function release(stored: StoredObject, { store }: EstablishInputs): void {
  const finalizers = (stored.object.metadata.finalizers ?? []).filter((one) => one !== CLEANUP_FINALIZER);
  const { finalizers: _, ...meta } = stored.object.metadata;
  const next: KubeObject = { ...stored.object, metadata: finalizers.length > 0 ? { ...meta, finalizers } : meta };
  if (JSON.stringify(next) === JSON.stringify(stored.object)) return;
  const written = store.update(stored.key, next, stored.revision);
  if (isFinished(written.object)) store.delete(written.key, written.revision);
}
