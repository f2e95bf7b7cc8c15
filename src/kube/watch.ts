// SPDX-License-Identifier: Apache-2.0
// List, then watch, and keep doing so whatever happens to the connection.
import { setTimeout as sleep } from 'node:timers/promises';
import { type KubeClient, KubeError, queryOf } from './client.ts';
import { resourcePath } from './resources.ts';
import type { KubeObject, ResourceType, Status } from './types.ts';

/** Called in the order of events. What a handler throws ends the watch: it is a bug of the caller. */
export interface WatchHandler<T> {
  upsert(object: T): void;
  delete(object: T): void;
  /** Once, after the first full list. */
  synced(): void;
  /** A failure that is being retried. */
  error?(error: Error): void;
  /** After failures: the server answers again, though it may have nothing new to say. */
  resumed?(): void;
}

export interface WatchOptions {
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  fieldSelector?: string | undefined;
  signal: AbortSignal;
  /** What to keep of each object, so that a watcher of many remembers little. Must keep metadata's identity fields. */
  keep?: (object: KubeObject) => KubeObject;
  /** The server ends a watch after about this time and we resume it. */
  timeoutSeconds?: number;
  /** Silence after which a connection counts as dead. Above the servers' bookmark interval (one minute). */
  idleTimeoutMs?: number;
  backoffMs?: { first: number; cap: number };
  random?: () => number;
}

interface WatchEvent<T> {
  type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';
  object: T;
}

/** What a handler threw; told apart from the failures that are retried. */
class HandlerFailure extends Error {}

/**
 * Keeps `handler` up to date until `signal` aborts, then resolves. Rejects only with what a handler threw.
 * After a gap (410 Gone) it lists anew and emits just the difference: deletes of what vanished, upserts of what
 * changed. Connection losses resume from the last resourceVersion, with exponential backoff and jitter.
 */
export async function watchResource<T extends KubeObject>(
  client: KubeClient,
  type: ResourceType,
  options: WatchOptions,
  handler: WatchHandler<T>,
): Promise<void> {
  const watcher = new Watcher<T>(client, type, options, handler);
  const backoff = options.backoffMs ?? { first: 50, cap: 5_000 };
  const random = options.random ?? Math.random;
  let failures = 0;
  let failing = false;
  const onOpen = (): void => {
    if (failing) handler.resumed?.();
    failing = false;
  };
  while (!options.signal.aborted) {
    try {
      await watcher.run(onOpen, () => {
        failures = 0;
      });
      // A watch that ends in good order is resumed at once, unless the server ends them as fast as we open them.
      if (watcher.lastedMs > 1_000) continue;
    } catch (error) {
      if (options.signal.aborted) return;
      if (error instanceof HandlerFailure) throw error.cause;
      failing = true;
      handler.error?.(error as Error);
    }
    const delayMs = Math.min(backoff.cap, backoff.first * 2 ** Math.min(failures, 16)) * (0.5 + random() / 2);
    failures++;
    await sleep(delayMs, undefined, { signal: options.signal }).catch(() => {});
  }
}

class Watcher<T extends KubeObject> {
  lastedMs = 0;
  readonly #client: KubeClient;
  readonly #type: ResourceType;
  readonly #options: WatchOptions;
  readonly #handler: WatchHandler<T>;
  readonly #known = new Map<string, T>();
  #resourceVersion: string | undefined;
  #synced = false;

  constructor(client: KubeClient, type: ResourceType, options: WatchOptions, handler: WatchHandler<T>) {
    this.#client = client;
    this.#type = type;
    this.#options = options;
    this.#handler = handler;
  }

  /** One connection: a list if there is no place to resume from, then a watch until it ends. */
  async run(onOpen: () => void, onProgress: () => void): Promise<void> {
    if (this.#resourceVersion === undefined) await this.#relist();
    const startedAt = performance.now();
    try {
      await this.#watch(onOpen, onProgress);
    } catch (error) {
      if (error instanceof KubeError && error.code === 410) {
        this.#resourceVersion = undefined;
        return;
      }
      throw error;
    } finally {
      this.lastedMs = performance.now() - startedAt;
    }
  }

  async #relist(): Promise<void> {
    const { namespace, labelSelector, fieldSelector, signal } = this.#options;
    const list = await this.#client.list<T>(this.#type, { namespace, labelSelector, fieldSelector, signal });
    const listed = new Set(list.items.map(keyOf));
    for (const [key, object] of this.#known) if (!listed.has(key)) this.#remove(key, object);
    for (const object of list.items) this.#put(object);
    this.#resourceVersion = list.resourceVersion;
    if (!this.#synced) {
      this.#synced = true;
      this.#tell(() => this.#handler.synced());
    }
  }

  async #watch(onOpen: () => void, onProgress: () => void): Promise<void> {
    const { namespace, labelSelector, fieldSelector, signal } = this.#options;
    const random = this.#options.random ?? Math.random;
    const timeoutSeconds = Math.round((this.#options.timeoutSeconds ?? 300) * (1 + random()));
    const query = queryOf({
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: this.#resourceVersion,
      timeoutSeconds: String(timeoutSeconds),
      labelSelector,
      fieldSelector,
    });
    const response = await this.#client.stream('GET', resourcePath(this.#type, namespace) + query, {
      signal,
      idleTimeoutMs: this.#options.idleTimeoutMs ?? 75_000,
    });
    try {
      response.setEncoding('utf8');
      this.#tell(onOpen);
      let rest = '';
      for await (const chunk of response) {
        const lines = (rest + (chunk as string)).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) if (line !== '') this.#take(JSON.parse(line) as WatchEvent<T>);
        onProgress();
      }
    } catch (error) {
      // What Node says of a connection that was cut in the middle of a body.
      if ((error as Error).message !== 'aborted') throw error;
      const where = this.#client.server + resourcePath(this.#type, namespace);
      throw new Error(`GET ${where}: the connection of the watch was cut`, { cause: error });
    } finally {
      response.destroy();
    }
  }

  #take(event: WatchEvent<T>): void {
    const { type, object } = event;
    if (type === 'ERROR') {
      const status = object as unknown as Status;
      throw new KubeError(status.code ?? 500, status.reason ?? '', status.message ?? 'the watch failed', status);
    }
    if (type === 'DELETED') this.#remove(keyOf(object), object);
    else if (type !== 'BOOKMARK') this.#put(object);
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
  }

  #put(received: T): void {
    const key = keyOf(received);
    const object = this.#kept(received);
    const before = this.#known.get(key);
    if (before !== undefined) {
      if (before.metadata.resourceVersion === object.metadata.resourceVersion) return;
      // Deleted and created again while we did not look: two objects, not one that changed.
      if (before.metadata.uid !== object.metadata.uid) this.#remove(key, before);
    }
    this.#known.set(key, object);
    this.#tell(() => this.#handler.upsert(object));
  }

  #remove(key: string, object: T): void {
    if (this.#known.delete(key)) this.#tell(() => this.#handler.delete(this.#kept(object)));
  }

  #kept(object: T): T {
    return this.#options.keep ? (this.#options.keep(object) as T) : object;
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (cause) {
      throw new HandlerFailure('the handler of a watch failed', { cause });
    }
  }
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}
