// SPDX-License-Identifier: Apache-2.0
// Keeps the status of mesh objects in step with what is to be said of them. Each status is written when it changes, and
// never because time passes; of several replicas one writes, but for what only another one's proxies know.
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { type Diagnostic, isOfProxies } from '../../api/diagnostics.ts';
import { kindOf } from '../../api/kinds.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { holdLease } from '../../kube/lease.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { SourceEvent } from '../../sources/contract.ts';
import { ISTIO_NAMESPACE, meshType } from '../mesh-resources.ts';
import { nextStatus, type ObjectStatus, PROGRAMMED, RECONCILED, readStatus, statusPatch } from './object-status.ts';

export const STATUS_LEASE = 'isthmus-status-writer';

export interface StatusWriterOptions {
  readonly client: KubeClient;
  /** Of this replica: the pod's name. */
  readonly holder: string;
  readonly log: Logger;
  readonly nowMs?: () => number;
  /** This replica writes now, or another one does. */
  readonly leads?: (isLeader: boolean) => void;
  /** Objects of one file come one after another, and what one of them lacks is often the next. */
  readonly settleMs?: number;
  /** From becoming the writer until refusals that no proxy repeated are removed: proxies need time to come back. */
  readonly sweepMs?: number;
  /** Between two writes. */
  readonly paceMs?: number;
  readonly lease?: { readonly durationMs: number; readonly intervalMs: number };
}

interface Seen {
  readonly object: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>;
  readonly status: ObjectStatus;
}

interface Attempt {
  readonly what: string;
  readonly count: number;
  readonly atMs: number;
  timer: NodeJS.Timeout | undefined;
}

const DEFAULTS = { settleMs: 1_000, sweepMs: 60_000, paceMs: 20, lease: { durationMs: 60_000, intervalMs: 20_000 } };
const RETRY_MS = 5_000;
const MAX_RETRY_MS = 300_000;
const FORGET_MS = 2 * MAX_RETRY_MS;

export class StatusWriter {
  readonly #options: StatusWriterOptions & typeof DEFAULTS;
  readonly #nowMs: () => number;
  readonly #seen = new Map<string, Seen>();
  #wanted: ReadonlyMap<string, readonly Diagnostic[]> = new Map();
  readonly #dirty = new Set<string>();
  /** Objects whose Programmed condition this replica wrote. */
  readonly #refusals = new Set<string>();
  /** Refusals of nobody who is here, to be removed once. */
  readonly #swept = new Set<string>();
  /** The last thing that was tried with an object. */
  readonly #attempts = new Map<string, Attempt>();
  #isLeader = false;
  #isFlushing = false;
  #settling: NodeJS.Timeout | undefined;
  #sweeping: NodeJS.Timeout | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: StatusWriterOptions) {
    this.#options = { ...DEFAULTS, ...options };
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** Until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal;
    const { client, holder, lease, log } = this.#options;
    this.#settle();
    await holdLease(
      client,
      { namespace: ISTIO_NAMESPACE, name: STATUS_LEASE, holder, signal, ...lease },
      {
        gained: () => this.#lead(true),
        lost: () => this.#lead(false),
        error: (error) => log.debug({ err: error.message }, 'the lease of the status writer could not be renewed'),
      },
    );
    clearTimeout(this.#settling);
    clearTimeout(this.#sweeping);
    for (const { timer } of this.#attempts.values()) clearTimeout(timer);
  }

  /** All that is to be said now. */
  take(diagnostics: readonly Diagnostic[]): void {
    const before = this.#wanted;
    this.#wanted = Map.groupBy(diagnostics, ({ object }) => keyOf(object.kind, object.namespace, object.name));
    for (const key of new Set([...before.keys(), ...this.#wanted.keys()])) {
      const [old, now] = [before.get(key) ?? [], this.#wanted.get(key) ?? []];
      if (old.length !== now.length || old.some((d, i) => d !== now[i])) this.#mark(key);
    }
  }

  /** What the source tells of the objects: their status as it stands. */
  events(batch: readonly SourceEvent[]): void {
    for (const event of batch) {
      if (event.kind === 'synced' || kindOf(event.object) === undefined) continue;
      const { kind, apiVersion, metadata } = event.object;
      const key = keyOf(kind, metadata.namespace ?? '', metadata.name ?? '');
      if (event.kind === 'delete') {
        this.#seen.delete(key);
        this.#refusals.delete(key);
        clearTimeout(this.#attempts.get(key)?.timer);
        this.#attempts.delete(key);
        continue;
      }
      const { name, namespace, uid, generation, resourceVersion } = metadata;
      const kept = { name, namespace, uid, generation, resourceVersion } as KubeObject['metadata'];
      const status = readStatus(event.object['status']);
      this.#seen.set(key, { object: { apiVersion, kind, metadata: kept }, status });
      if (this.#wanted.has(key) || isOurs(status)) this.#mark(key);
    }
  }

  #lead(isLeader: boolean): void {
    this.#isLeader = isLeader;
    this.#options.leads?.(isLeader);
    clearTimeout(this.#sweeping);
    if (!isLeader) return;
    this.#markAll();
    this.#sweeping = setTimeout(() => {
      for (const [key, { status }] of this.#seen)
        if (hasRefusal(status) && !this.#refusals.has(key)) this.#swept.add(key);
      this.#markAll();
    }, this.#options.sweepMs).unref();
  }

  #markAll(): void {
    for (const [key, { status }] of this.#seen) if (this.#wanted.has(key) || isOurs(status)) this.#mark(key);
  }

  #mark(key: string): void {
    this.#dirty.add(key);
    this.#settle();
  }

  #settle(): void {
    if (this.#signal === undefined || this.#dirty.size === 0) return;
    this.#settling ??= setTimeout(() => {
      this.#settling = undefined;
      void this.#flush();
    }, this.#options.settleMs).unref();
  }

  async #flush(): Promise<void> {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    for (const key of this.#dirty) {
      if (this.#signal?.aborted !== false) break;
      this.#dirty.delete(key);
      if (await this.#write(key)) await new Promise((resolve) => setTimeout(resolve, this.#options.paceMs));
    }
    this.#isFlushing = false;
    this.#settle();
  }

  /** True when it asked the API server for anything. */
  async #write(key: string): Promise<boolean> {
    const seen = this.#seen.get(key);
    if (seen === undefined) return false;
    const next = this.#decide(key, seen);
    if (isDeepStrictEqual(next, seen.status)) return false;
    if (!this.#mayTry(key, seen, next)) return false;
    const { kind, metadata } = seen.object;
    try {
      // With the version that the decision was made of: nothing that others wrote meanwhile is lost.
      const patch = { metadata: { resourceVersion: metadata.resourceVersion }, status: statusPatch(next) };
      await this.#options.client.patch(meshType(kind)!, metadata.name ?? '', metadata.namespace, patch, {
        subresource: 'status',
        fieldManager: 'isthmus-status',
      });
    } catch (error) {
      this.#failed(key, error as Error);
    }
    return true;
  }

  #decide(key: string, { object, status }: Seen): ObjectStatus {
    const { generation = 0 } = object.metadata;
    const diagnostics = this.#wanted.get(key) ?? [];
    const told = status.conditions.find(({ type }) => type === PROGRAMMED);
    const isStale = told !== undefined && told.observedGeneration !== generation;
    const ofRefusal = this.#refusals.has(key) || (this.#isLeader && (isStale || this.#swept.has(key)));
    this.#swept.delete(key);
    if (diagnostics.some(isOfProxies)) this.#refusals.add(key);
    else if (told === undefined) this.#refusals.delete(key);
    const may = { ofValidation: this.#isLeader, ofRefusal };
    return nextStatus(status, diagnostics, { generation, nowMs: this.#nowMs(), may });
  }

  /** One and the same status is tried again ever more seldom: whoever takes it away again is not fought with. */
  #mayTry(key: string, { object }: Seen, next: ObjectStatus): boolean {
    const timeless = next.conditions.map(({ lastTransitionTime: _, ...rest }) => rest);
    const what = JSON.stringify([object.metadata.uid, object.metadata.generation, { ...next, conditions: timeless }]);
    const before = this.#attempts.get(key);
    const nowMs = performance.now();
    if (before?.what !== what || nowMs - before.atMs > FORGET_MS) {
      clearTimeout(before?.timer);
      this.#attempts.set(key, { what, count: 1, atMs: nowMs, timer: undefined });
      return true;
    }
    const waitMs = Math.min(RETRY_MS * 2 ** (before.count - 1), MAX_RETRY_MS) - (nowMs - before.atMs);
    if (waitMs <= 0) {
      this.#attempts.set(key, { what, count: before.count + 1, atMs: nowMs, timer: undefined });
      return true;
    }
    before.timer ??= setTimeout(() => {
      before.timer = undefined;
      this.#mark(key);
    }, waitMs).unref();
    return false;
  }

  #failed(key: string, error: Error): void {
    const isOver = error instanceof KubeError && (error.code === 404 || error.reason === 'Conflict');
    // Gone, or changed: the watch says what there is now.
    if (isOver) return;
    this.#options.log.warn({ object: key, err: error.message }, 'the object’s status cannot be written; trying again');
    this.#mark(key);
  }
}

function keyOf(kind: string, namespace: string, name: string): string {
  return `${kind} ${namespace}/${name}`;
}

function isOurs({ conditions, validationMessages }: ObjectStatus): boolean {
  return validationMessages.length > 0 || conditions.some(({ type }) => type === RECONCILED || type === PROGRAMMED);
}

function hasRefusal({ conditions }: ObjectStatus): boolean {
  return conditions.some(({ type }) => type === PROGRAMMED);
}
