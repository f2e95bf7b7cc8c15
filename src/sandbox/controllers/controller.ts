// SPDX-License-Identifier: Apache-2.0
// What a controller is: a queue of keys, listeners that fill it, one function that works one key off.
import { type KubeClient, KubeError } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/types.ts';
import { createEventRecorder, type EventForm, type EventRecorder } from './event-recorder.ts';
import { type Informer, type InformerSet, keyOf } from './informer.ts';
import { type Reconcile, WorkQueue } from './work-queue.ts';

/** The part of a logger that controllers use; pino fits. */
export interface Log {
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  debug(fields: Record<string, unknown>, message: string): void;
}

export interface ControllerContext {
  readonly client: KubeClient;
  readonly informers: InformerSet;
  readonly log: Log;
  readonly nowMs: () => number;
  /** In [0, 1). */
  readonly random: () => number;
}

export interface Controller {
  readonly name: string;
  readonly queue: WorkQueue;
  readonly reconcile: Reconcile;
}

export interface QueueOptions {
  concurrency?: number;
  backoffMs?: { first: number; cap: number };
}

/** A queue that logs failures. Conflicts are part of normal life: somebody else wrote first, look again. */
export function createQueue(context: ControllerContext, name: string, options: QueueOptions = {}): WorkQueue {
  return new WorkQueue({
    concurrency: options.concurrency ?? 8,
    backoffMs: options.backoffMs ?? { first: 10, cap: 10_000 },
    onError: (key, error, attempts) => {
      const isExpected = error instanceof KubeError && (error.code === 409 || isNamespaceTerminating(error));
      context.log[isExpected || attempts < 3 ? 'debug' : 'warn'](
        { controller: name, key, attempts, error: error.message },
        'failed, will retry',
      );
    },
  });
}

export function recorderFor(context: ControllerContext, name: string, form?: EventForm): EventRecorder {
  return createEventRecorder(context.client, name, context.nowMs, form);
}

/**
 * Puts keys into the queue: the first at once, more of the same in the same interval together at its end. Where many
 * changes come one by one, they are then one write.
 */
export function pacedAdd(queue: WorkQueue, intervalMs: number): (key: string) => void {
  /** Key -> when it was, or will be, added. */
  const addedAtMs = new Map<string, number>();
  return (key) => {
    const nowMs = performance.now();
    const lastMs = addedAtMs.get(key) ?? Number.NEGATIVE_INFINITY;
    // One that waits will see this change too. A due time later for each would put a burst's last one off by its size.
    const dueMs = lastMs > nowMs ? lastMs : lastMs + intervalMs;
    addedAtMs.set(key, Math.max(nowMs, dueMs));
    if (dueMs > nowMs) queue.addAfter(key, dueMs - nowMs);
    else queue.add(key);
    // What is long past slows nobody down.
    if (addedAtMs.size > 1_000)
      for (const [each, atMs] of addedAtMs) if (atMs + intervalMs < nowMs) addedAtMs.delete(each);
  };
}

/** Puts every object that changes into the queue, by its own key. */
export function enqueueChanged<T extends KubeObject>(queue: WorkQueue, informer: Informer<T>): void {
  informer.onChange((before, after) => {
    const object = after ?? before;
    if (object !== undefined) queue.add(keyOf(object));
  });
}

/** True for a create that was refused because its namespace is being deleted: nothing to report, nothing to retry. */
export function isNamespaceTerminating(error: unknown): boolean {
  return (
    error instanceof KubeError &&
    error.code === 403 &&
    (error.status?.details?.causes?.some(({ reason }) => reason === 'NamespaceTerminating') ||
      error.message.includes('because it is being terminated'))
  );
}

/** metav1.Time: seconds, UTC. */
export function timestamp(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
