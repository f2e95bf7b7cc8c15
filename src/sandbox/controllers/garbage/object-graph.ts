// SPDX-License-Identifier: Apache-2.0
// Who owns whom, over every resource that the API server serves, custom ones included: metadata only.
import { type DiscoveredResource, KubeError } from '../../../kube/client.ts';
import { apiVersionOf, CRDS } from '../../../kube/resources.ts';
import type { KubeObject, ObjectMeta, OwnerReference, ResourceType } from '../../../kube/types.ts';
import { watchResource } from '../../../kube/watch.ts';
import type { ControllerContext } from '../controller.ts';

export interface GraphNode {
  readonly type: ResourceType;
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly owners: readonly OwnerReference[];
  readonly finalizers: readonly string[];
  readonly isDeleting: boolean;
}

export interface GraphListener {
  upserted(before: GraphNode | undefined, node: GraphNode): void;
  deleted(node: GraphNode): void;
}

/** Events own nothing, nobody owns them, and they are most of what is written. */
const IGNORED = new Set(['events']);
/** A new CRD is served a moment after it says so. */
const REFRESH_DELAYS_MS = [50, 500, 2_000];

export class ObjectGraph {
  readonly #context: ControllerContext;
  readonly #nodes = new Map<string, GraphNode>();
  readonly #dependents = new Map<string, Set<string>>();
  readonly #watched = new Map<string, { type: ResourceType; stop: AbortController }>();
  readonly #listeners: GraphListener[] = [];
  #types = new Map<string, ResourceType>();
  /** Set while it runs. */
  #signal: AbortSignal | undefined;
  #timers: NodeJS.Timeout[] = [];

  constructor(context: ControllerContext) {
    this.#context = context;
    const crds = context.informers.of(CRDS);
    crds.onChange(() => this.#scheduleRefresh());
  }

  listen(listener: GraphListener): void {
    this.#listeners.push(listener);
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  dependentsOf(uid: string): GraphNode[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#nodes.get(dependent) ?? []);
  }

  /** The resource that an ownerReference means; undefined for a kind that the server does not serve. */
  resolve({ apiVersion, kind }: Pick<OwnerReference, 'apiVersion' | 'kind'>): ResourceType | undefined {
    return this.#types.get(`${apiVersion} ${kind}`);
  }

  /** Watches everything until `signal` aborts. Resolves when it is all in. The informers must have synced before. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        await this.#refresh(signal);
        return;
      } catch (error) {
        if (attempt > 2) this.#context.log.warn({ error: (error as Error).message }, 'discovery failed, will retry');
        const { promise, resolve } = Promise.withResolvers<void>();
        setTimeout(resolve, Math.min(5_000, 100 * 2 ** attempt)).unref();
        await promise;
      }
    }
  }

  #scheduleRefresh(): void {
    const signal = this.#signal;
    if (signal === undefined || signal.aborted) return;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = REFRESH_DELAYS_MS.map((delayMs) =>
      setTimeout(() => {
        this.#refresh(signal).catch((error: Error) => {
          if (!signal.aborted) this.#context.log.debug({ error: error.message }, 'discovery failed');
        });
      }, delayMs).unref(),
    );
  }

  async #refresh(signal: AbortSignal): Promise<void> {
    const discovered = await this.#context.client.discover();
    this.#types = new Map(discovered.map((type) => [`${apiVersionOf(type)} ${type.kind}`, type]));
    const wanted = new Map(selectTypes(discovered).map((type) => [`${type.group}/${type.resource}`, type]));
    for (const [name, { stop }] of this.#watched) {
      if (wanted.has(name)) continue;
      stop.abort();
      this.#watched.delete(name);
      for (const node of [...this.#nodes.values()])
        if (`${node.type.group}/${node.type.resource}` === name) this.#remove(node.uid);
    }
    const added = [...wanted].filter(([name]) => !this.#watched.has(name));
    await Promise.all(added.map(([name, type]) => this.#watch(name, type, signal)));
    if (added.length > 0) this.#reconsiderUnowned();
  }

  /** An owner of a kind that was unknown until now may have come and gone unseen. */
  #reconsiderUnowned(): void {
    for (const node of [...this.#nodes.values()]) {
      if (node.owners.every(({ uid }) => this.#nodes.has(uid))) continue;
      for (const listener of this.#listeners) listener.upserted(node, node);
    }
  }

  /** Resolves with the first full list. */
  #watch(name: string, type: ResourceType, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    this.#watched.set(name, { type, stop });
    const shared = this.#context.informers.complete(type);
    if (shared !== undefined) {
      for (const object of shared.all()) this.#put(type, object);
      shared.onChange((before, after) => {
        if (after !== undefined) this.#put(type, after);
        else if (before !== undefined) this.#remove(before.metadata.uid ?? '');
      });
      return Promise.resolve();
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const ended = AbortSignal.any([signal, stop.signal]);
    void watchResource(
      this.#context.client,
      type,
      { signal: ended, keep: keepOwnership },
      {
        upsert: (object) => this.#put(type, object),
        delete: (object) => this.#remove(object.metadata.uid ?? ''),
        synced: resolve,
        error: (error) => {
          // A type that cannot be read (just removed, or refused) must not hold up the collection of all others.
          if (error instanceof KubeError && error.code < 500) resolve();
        },
      },
    ).finally(resolve);
    return promise;
  }

  #put(type: ResourceType, object: KubeObject): void {
    const node = nodeOf(type, object.metadata);
    const before = this.#nodes.get(node.uid);
    this.#nodes.set(node.uid, node);
    for (const { uid } of before?.owners ?? []) this.#unlink(uid, node.uid);
    for (const { uid } of node.owners) {
      const dependents = this.#dependents.get(uid) ?? new Set();
      this.#dependents.set(uid, dependents.add(node.uid));
    }
    for (const listener of this.#listeners) listener.upserted(before, node);
  }

  #remove(uid: string): void {
    const node = this.#nodes.get(uid);
    if (node === undefined) return;
    this.#nodes.delete(uid);
    for (const owner of node.owners) this.#unlink(owner.uid, uid);
    for (const listener of this.#listeners) listener.deleted(node);
  }

  #unlink(owner: string, dependent: string): void {
    const dependents = this.#dependents.get(owner);
    dependents?.delete(dependent);
    if (dependents?.size === 0) this.#dependents.delete(owner);
  }
}

/** One version of each resource that can be listed, watched and deleted. */
function selectTypes(discovered: readonly DiscoveredResource[]): DiscoveredResource[] {
  const selected = new Map<string, DiscoveredResource>();
  for (const type of discovered) {
    if (IGNORED.has(type.resource) || !['list', 'watch', 'delete'].every((verb) => type.verbs.includes(verb))) continue;
    // The old group serves objects that live in another one.
    if (type.group === 'extensions') continue;
    const name = `${type.group}/${type.resource}`;
    if (!selected.has(name) || type.preferred) selected.set(name, type);
  }
  return [...selected.values()];
}

function nodeOf(type: ResourceType, metadata: ObjectMeta): GraphNode {
  return {
    type,
    uid: metadata.uid ?? '',
    name: metadata.name ?? '',
    namespace: metadata.namespace ?? '',
    owners: metadata.ownerReferences ?? [],
    finalizers: metadata.finalizers ?? [],
    isDeleting: metadata.deletionTimestamp !== undefined,
  };
}

function keepOwnership({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, namespace, uid, resourceVersion, ownerReferences, finalizers, deletionTimestamp } = metadata;
  return {
    apiVersion,
    kind,
    metadata: {
      ...(name ? { name } : {}),
      ...(namespace ? { namespace } : {}),
      ...(uid ? { uid } : {}),
      ...(resourceVersion ? { resourceVersion } : {}),
      ...(ownerReferences ? { ownerReferences } : {}),
      ...(finalizers ? { finalizers } : {}),
      ...(deletionTimestamp ? { deletionTimestamp } : {}),
    },
  };
}
