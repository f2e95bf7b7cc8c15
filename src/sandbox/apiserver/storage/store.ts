// SPDX-License-Identifier: Apache-2.0
// What the REST layer needs from storage: keyed objects, one growing revision, and the events in between.
import type { KubeObject } from '../../../kube/types.ts';

export interface ObjectKey {
  /** "pods", "deployments.apps": the stored resource, whatever version the request used. */
  readonly resource: string;
  /** '' for cluster-scoped objects. */
  readonly namespace: string;
  readonly name: string;
}

export interface StoredObject {
  readonly key: ObjectKey;
  /** Deeply frozen, in the storage version, metadata.resourceVersion set. */
  readonly object: KubeObject;
  /** The same as text, made once. */
  readonly json: string;
  readonly revision: number;
}

export interface StoreEvent {
  readonly revision: number;
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** For DELETED the last state, with the deletion's resourceVersion. */
  readonly stored: StoredObject;
  /** Absent for ADDED. */
  readonly previous: StoredObject | undefined;
}

/** The key exists already, or the revision expected is not the current one; `current` is what is there. */
export class StoreConflict extends Error {
  readonly current: StoredObject | undefined;
  constructor(message: string, current: StoredObject | undefined) {
    super(message);
    this.current = current;
  }
}

/** The revision asked for is older than the event log reaches. */
export class RevisionCompacted extends Error {
  readonly oldest: number;
  constructor(wanted: number, oldest: number) {
    super(`too old resource version: ${wanted} (${oldest})`);
    this.oldest = oldest;
  }
}

/** A write that could not be kept, and was not: the disk is full, or fails. What was kept before is safe. */
export class StorageFailure extends Error {}

export interface ObjectStore {
  /** The newest revision; every write has one of its own. */
  readonly revision: number;
  get(key: ObjectKey): StoredObject | undefined;
  /** Sorted by namespace, then name. */
  list(resource: string, namespace?: string): readonly StoredObject[];
  /** As `list` was at `revision`; throws RevisionCompacted. */
  listAt(resource: string, namespace: string | undefined, revision: number): readonly StoredObject[];
  /** Durable when it returns. Throws StoreConflict when the key exists. */
  create(key: ObjectKey, object: KubeObject): StoredObject;
  /** Throws StoreConflict unless the object is there at `expectedRevision`. */
  update(key: ObjectKey, object: KubeObject, expectedRevision: number): StoredObject;
  delete(key: ObjectKey, expectedRevision: number): StoredObject;
  /** Events after `revision`, oldest first; throws RevisionCompacted. */
  eventsSince(resource: string, revision: number): readonly StoreEvent[];
  /** Calls `listener` synchronously after each write to `resource`. Returns the way to end it. */
  subscribe(resource: string, listener: (event: StoreEvent) => void): () => void;
  /** Every resource that has objects. */
  resources(): readonly string[];
  close(): void;
}
