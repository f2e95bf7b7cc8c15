// SPDX-License-Identifier: Apache-2.0
// From what the sources say to what each proxy should have. One loop: events change the snapshot, a changed snapshot
// wakes the proxies' streams, and each stream asks for its own state when its turn comes. A batch changes the snapshot as a whole,
// however many turns of the loop it takes; what is told meanwhile waits for it.
import type { Diagnostic, ObjectRef } from '../api/diagnostics.ts';
import { once, type Steps } from '../incremental/steps.ts';
import type { SecretUse } from '../intent/secrets.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshSnapshot } from '../model/snapshot.ts';
import type { MeshStore, StoreUpdate } from '../model/store.ts';
import type { SourceEvent, SourceListener, SourceProblem } from '../sources/contract.ts';
import type { DesiredState, KeptState, OfferedState } from '../xds/types.ts';
import type { ProxyPatches } from './findings/idle-patches.ts';
import { Turns } from './turns.ts';

/** What the compile stages give for one proxy. */
export interface CompiledProxy {
  readonly desired: DesiredState;
  /** Keys and roots that it is to get apart. */
  readonly secrets: readonly SecretUse[];
  /** What the proxy may ask for beyond that; absent where it is given everything. */
  readonly offered?: OfferedState;
  /** What it goes on with that it was given before. */
  readonly kept?: KeptState | undefined;
  /** What EnvoyFilters do to it; absent where none concerns the proxy. */
  readonly patches?: ProxyPatches;
  /** The objects behind a resource, for blame. */
  origins(typeUrl: string, name: string): readonly { readonly object: ObjectRef }[];
}

export type Compile = (snapshot: MeshSnapshot, proxy: MeshProxy) => CompiledProxy;

export interface MeshEngineOptions {
  readonly store: MeshStore;
  readonly compile: Compile;
  /** Clusters that must have synced before any proxy gets a configuration: half a mesh would break traffic. */
  readonly clusters: readonly string[];
  /** What else must have come, each by `arrived`. */
  readonly awaited?: readonly string[];
  readonly onProblems?: (problems: readonly SourceProblem[]) => void;
  readonly onDiagnostics?: (diagnostics: readonly Diagnostic[]) => void;
  readonly onSynced?: () => void;
  /** Names whose addresses the mesh wants to be told by `answer`, sorted; called when they change. */
  readonly onGatewayNames?: (names: readonly string[]) => void;
  /** When what is told is taken. */
  readonly turns?: Turns;
}

export class MeshEngine {
  readonly #options: MeshEngineOptions;
  readonly #unsynced: Set<string>;
  readonly #listeners = new Set<() => void>();
  readonly #turns: Turns;
  readonly #synced = Promise.withResolvers<void>();
  #problems = new Map<string, readonly SourceProblem[]>();
  #diagnostics: readonly Diagnostic[] = [];
  #gatewayNames: readonly string[] = [];

  constructor(options: MeshEngineOptions) {
    this.#options = options;
    this.#turns = options.turns ?? new Turns();
    this.#unsynced = new Set([...options.clusters, ...(options.awaited ?? [])]);
    if (this.#unsynced.size === 0) this.#synced.resolve();
  }

  get snapshot(): MeshSnapshot {
    return this.#options.store.snapshot;
  }

  get isSynced(): boolean {
    return this.#unsynced.size === 0;
  }

  /** All that is to be said about the objects now. */
  get diagnostics(): readonly Diagnostic[] {
    return this.#diagnostics;
  }

  get problems(): readonly SourceProblem[] {
    return [...this.#problems.values()].flat();
  }

  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** One of those that were awaited has come. */
  arrived(awaited: string): void {
    this.afterwards(() => this.#markSynced(awaited));
  }

  /** Calls back when everything that has been told so far is in the snapshot; at once when it is. */
  afterwards(call: () => void): void {
    this.#turns.add(once(call));
  }

  /** For one source; `id` tells it from others of the same cluster. */
  listener(id: string): SourceListener {
    return {
      events: (batch) => this.#take(batch),
      problems: (standing) => {
        this.#problems.set(id, standing);
        this.#options.onProblems?.(standing);
      },
    };
  }

  compile(proxy: MeshProxy): CompiledProxy {
    return this.#options.compile(this.snapshot, proxy);
  }

  /** Calls `changed` when everything awaited has synced, and after each new snapshot from then on; returns how to end that. */
  subscribe(changed: () => void): () => void {
    this.#listeners.add(changed);
    return () => this.#listeners.delete(changed);
  }

  /** Of these objects the one that changed last, which is the likeliest cause of something new; those refused are out. */
  lastChanged(refs: readonly ObjectRef[]): { ref: ObjectRef; at: number } | undefined {
    const { store } = this.#options;
    const dated = refs.map((ref) => ({ ref, at: store.changedAt(ref) })).filter(({ at }) => at > 0);
    return dated.sort((a, b) => b.at - a.at)[0];
  }

  /** See MeshStore.refuse. */
  refuse(ref: ObjectRef, diagnostic: Diagnostic): void {
    this.#turns.add(this.#publish(once(() => this.#options.store.refuse(ref, diagnostic))));
  }

  /** See MeshStore.restore. */
  restore(ref: ObjectRef, diagnostic: Diagnostic): void {
    this.#turns.add(this.#publish(once(() => this.#options.store.restore(ref, diagnostic))));
  }

  /** See MeshStore.answer. */
  answer(addresses: ReadonlyMap<string, readonly string[]>): void {
    this.#turns.add(this.#publish(once(() => this.#options.store.answer(addresses))));
  }

  #take(batch: readonly SourceEvent[]): void {
    const markSynced = (): void => {
      for (const event of batch) if (event.kind === 'synced') this.#markSynced(event.cluster);
    };
    this.#turns.add(this.#publish(this.#options.store.applySteps(batch), markSynced));
  }

  *#publish(update: Steps<StoreUpdate>, beforeListeners: () => void = () => {}): Steps<void> {
    const before = this.#options.store.snapshot;
    const { snapshot, diagnostics } = yield* update;
    if (diagnostics.length !== this.#diagnostics.length || diagnostics.some((d, i) => d !== this.#diagnostics[i])) {
      this.#diagnostics = diagnostics;
      this.#options.onDiagnostics?.(diagnostics);
    }
    const { gatewayNames } = this.#options.store;
    if (gatewayNames !== this.#gatewayNames) {
      this.#gatewayNames = gatewayNames;
      this.#options.onGatewayNames?.(gatewayNames);
    }
    const wasSynced = this.isSynced;
    beforeListeners();
    if (wasSynced && snapshot !== before) this.#tell();
  }

  #markSynced(name: string): void {
    if (!this.#unsynced.delete(name) || this.#unsynced.size > 0) return;
    this.#synced.resolve();
    this.#options.onSynced?.();
    // What completes it may bring nothing itself: this is the first that anybody hears of what came before.
    this.#tell();
  }

  #tell(): void {
    for (const changed of this.#listeners) changed();
  }
}
