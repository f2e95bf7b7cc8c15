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

/** Asked once with no change, then at every change of any object. */
type EchoTest<T> = (changedKey: string | undefined, after: T | undefined) => boolean;
interface Waiter<T> {
  readonly isSeen: EchoTest<T>;
  readonly finish: () => void;
}

/** How long a write waits for its own echo before it goes on with a cache that may be behind. */
const ECHO_TIMEOUT_MS = 5_000;

/** Objects in it are shared: never change one. */
export class Informer<T extends KubeObject = KubeObject> {
  readonly type: ResourceType;
  readonly #objects = new Map<string, T>();
  readonly #byNamespace = new Map<string, Map<string, T>>();
  readonly #listeners: ChangeListener<T>[] = [];
  readonly #waiters = new Set<Waiter<T>>();
  readonly #synced = Promise.withResolvers<void>();
  #isSynced = false;
  #hasEnded = false;
  /** The revision of the newest event so far. */
  #newest = 0;

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

  /** Fills the cache until `signal` aborts; from then on nobody waits for an echo. */
  async run(client: KubeClient, signal: AbortSignal, options: InformerOptions = {}): Promise<void> {
    const watch = { signal, ...(options.fieldSelector ? { fieldSelector: options.fieldSelector } : {}) };
    await watchResource<T>(client, this.type, watch, {
      upsert: (object) => this.#put(object),
      delete: (object) => this.#remove(object),
      synced: () => {
        this.#isSynced = true;
        this.#synced.resolve();
      },
      ...(options.onError ? { error: options.onError } : {}),
    });
    this.#hasEnded = true;
    for (const waiter of [...this.#waiters]) waiter.finish();
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
   * Resolves when the cache is at least as new as `written`, the answer to a create or update. A controller that waits
   * for its own writes never acts twice on one cause.
   */
  echo(written: T): Promise<void> {
    const revision = revisionOf(written);
    const key = keyOf(written);
    // Events come in the order of revisions. One of this object counts too: after a relist there may be no newer one.
    return this.#until((changed, after) => {
      if (this.#newest >= revision) return true;
      return changed === key && (after === undefined || after.metadata.uid !== written.metadata.uid);
    });
  }

  /** Resolves when the object is gone from the cache or marked as being deleted. */
  echoDelete(deleted: KubeObject): Promise<void> {
    const key = keyOf(deleted);
    return this.#until(() => {
      const cached = this.#objects.get(key);
      return cached?.metadata.uid !== deleted.metadata.uid || cached?.metadata.deletionTimestamp !== undefined;
    });
  }

  /** Resolves when `isSeen` holds for the object that the cache has under `key`. */
  until(key: string, isSeen: (object: T | undefined) => boolean): Promise<void> {
    return this.#until(() => isSeen(this.#objects.get(key)));
  }

  #until(isSeen: EchoTest<T>): Promise<void> {
    if (this.#hasEnded || isSeen(undefined, undefined)) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter<T> = {
      isSeen,
      finish: () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve();
      },
    };
    const timer = setTimeout(waiter.finish, ECHO_TIMEOUT_MS);
    timer.unref();
    this.#waiters.add(waiter);
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
    this.#newest = Math.max(this.#newest, revisionOf(after ?? before));
    for (const waiter of [...this.#waiters]) if (waiter.isSeen(key, after)) waiter.finish();
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
function revisionOf(object: KubeObject | undefined): number {
  return Number(object?.metadata.resourceVersion ?? 0);
}
