// SPDX-License-Identifier: Apache-2.0
// A local copy of one resource type, kept by list and watch, shared by all controllers that read it.
import type { KubeClient } from '../../kube/client.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { watchResource } from '../../kube/watch.ts';

/** `before` is absent for a new object, `after` for one that is gone. */
export type ChangeListener<T> = (before: T | undefined, after: T | undefined) => void;

export interface InformerOptions {
  fieldSelector?: string;
  onError?: (error: Error) => void;
}

/** How long a write waits for its own echo before it goes on with a cache that may be behind. */
const ECHO_TIMEOUT_MS = 5_000;

/** Objects in it are shared: never change one. */
export class Informer<T extends KubeObject = KubeObject> {
  readonly type: ResourceType;
  readonly #objects = new Map<string, T>();
  readonly #byNamespace = new Map<string, Map<string, T>>();
  readonly #listeners: ChangeListener<T>[] = [];
  readonly #waiters = new Map<string, Set<(after: T | undefined) => void>>();
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;

  constructor(type: ResourceType) {
    this.type = type;
  }

  /** Resolves when the first full list is in. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  get isSynced(): boolean {
    return this.#isSynced;
  }

  /** Fills the cache until `signal` aborts. */
  run(client: KubeClient, signal: AbortSignal, options: InformerOptions = {}): Promise<void> {
    const watch = { signal, ...(options.fieldSelector ? { fieldSelector: options.fieldSelector } : {}) };
    return watchResource<T>(client, this.type, watch, {
      upsert: (object) => this.#put(object),
      delete: (object) => this.#remove(object),
      synced: () => {
        this.#isSynced = true;
        this.#synced.resolve();
      },
      ...(options.onError ? { error: options.onError } : {}),
    });
  }

  onChange(listener: ChangeListener<T>): void {
    this.#listeners.push(listener);
  }

  get(name: string, namespace = ''): T | undefined {
    return this.#byNamespace.get(namespace)?.get(name);
  }

  /** By `namespace/name`, as keyOf makes it. */
  byKey(key: string): T | undefined {
    return this.#objects.get(key);
  }

  all(): Iterable<T> {
    return this.#objects.values();
  }

  inNamespace(namespace: string | undefined): T[] {
    return [...(this.#byNamespace.get(namespace ?? '')?.values() ?? [])];
  }

  /**
   * Resolves when the cache has seen `written` (the answer to a create or update), or when the object is gone or
   * replaced. A controller that waits for its own writes never acts twice on one cause.
   */
  echo(written: T): Promise<void> {
    const { uid, deletionTimestamp } = written.metadata;
    const isBehind = (cached: T): boolean => cached.metadata.uid === uid && !isAtLeast(cached, written);
    const cached = this.#objects.get(keyOf(written));
    if (cached === undefined ? deletionTimestamp !== undefined : !isBehind(cached)) return Promise.resolve();
    return this.#until(keyOf(written), (after) => after === undefined || !isBehind(after));
  }

  /** Resolves when the object is gone from the cache or marked as being deleted. */
  echoDelete(deleted: KubeObject): Promise<void> {
    const isSeen = (cached: T | undefined): boolean =>
      cached?.metadata.uid !== deleted.metadata.uid || cached?.metadata.deletionTimestamp !== undefined;
    const key = keyOf(deleted);
    return isSeen(this.#objects.get(key)) ? Promise.resolve() : this.#until(key, isSeen);
  }

  #until(key: string, isSeen: (after: T | undefined) => boolean): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiters = this.#waiters.get(key) ?? new Set();
    this.#waiters.set(key, waiters);
    const finish = () => {
      clearTimeout(timer);
      waiters.delete(check);
      if (waiters.size === 0 && this.#waiters.get(key) === waiters) this.#waiters.delete(key);
      resolve();
    };
    const check = (after: T | undefined) => {
      if (isSeen(after)) finish();
    };
    const timer = setTimeout(finish, ECHO_TIMEOUT_MS);
    timer.unref();
    waiters.add(check);
    return promise;
  }

  #put(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    this.#objects.set(key, object);
    const namespace = object.metadata.namespace ?? '';
    const siblings = this.#byNamespace.get(namespace) ?? new Map<string, T>();
    this.#byNamespace.set(namespace, siblings.set(object.metadata.name ?? '', object));
    this.#changed(key, before, object);
  }

  #remove(object: T): void {
    const key = keyOf(object);
    if (!this.#objects.delete(key)) return;
    const namespace = object.metadata.namespace ?? '';
    const siblings = this.#byNamespace.get(namespace);
    siblings?.delete(object.metadata.name ?? '');
    if (siblings?.size === 0) this.#byNamespace.delete(namespace);
    this.#changed(key, object, undefined);
  }

  #changed(key: string, before: T | undefined, after: T | undefined): void {
    for (const listener of this.#listeners) listener(before, after);
    for (const check of [...(this.#waiters.get(key) ?? [])]) check(after);
  }
}

/** One informer per resource type, made on first use. */
export class InformerSet {
  readonly #entries = new Map<string, { informer: Informer; options: InformerOptions }>();

  /** The options of the first caller count. */
  of<T extends KubeObject>(type: ResourceType, options: InformerOptions = {}): Informer<T> {
    const known = this.#entries.get(nameOf(type));
    if (known !== undefined) return known.informer as unknown as Informer<T>;
    const informer = new Informer<T>(type);
    this.#entries.set(nameOf(type), { informer: informer as unknown as Informer, options });
    return informer;
  }

  /** The informer that has all objects of the type, if there is one. */
  complete(type: ResourceType): Informer | undefined {
    const entry = this.#entries.get(nameOf(type));
    return entry?.options.fieldSelector === undefined ? entry?.informer : undefined;
  }

  /** Runs them all. `synced` resolves when every cache is filled; `ended` when `signal` has aborted. */
  run(client: KubeClient, signal: AbortSignal, onError: (type: ResourceType, error: Error) => void) {
    const entries = [...this.#entries.values()];
    const runs = entries.map(({ informer, options }) =>
      informer.run(client, signal, { ...options, onError: (error) => onError(informer.type, error) }),
    );
    return {
      synced: Promise.all(entries.map(({ informer }) => informer.synced)).then(() => undefined),
      ended: Promise.all(runs).then(() => undefined),
    };
  }
}

function nameOf({ group, version, resource }: ResourceType): string {
  return `${group}/${version}/${resource}`;
}

/** `namespace/name`; `/name` for cluster scope. */
export function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}

export function splitKey(key: string): { namespace: string; name: string } {
  const slash = key.indexOf('/');
  return { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}

// resourceVersions are comparable decimal numbers (Kubernetes 1.35 made that a promise; etcd's always were).
function isAtLeast(cached: KubeObject, written: KubeObject): boolean {
  const [have, want] = [cached.metadata.resourceVersion, written.metadata.resourceVersion];
  return have === want || Number(have) >= Number(want);
}
