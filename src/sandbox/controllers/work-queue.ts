// SPDX-License-Identifier: Apache-2.0
// Keys to be worked on: a key is never worked on twice at once, and never forgotten while it is.

/** What a reconcile wants next: nothing, or to see the key again after a time. */
export type Requeue = { afterMs: number } | undefined;
export type Reconcile = (key: string) => Promise<Requeue>;

export interface WorkQueueOptions {
  /** How many keys are worked on at once. */
  concurrency: number;
  /** Delay before the first retry of a failed key; doubled for each further one, up to `capMs`. */
  backoffMs?: { first: number; cap: number };
  onError(key: string, error: Error, attempts: number): void;
}

/**
 * A key added while it is being worked on is worked on once more afterwards, however often it was added. A failed key
 * comes back after an exponential delay, or at once when it is added again by an event.
 */
export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting = new Set<string>();
  readonly #active = new Set<string>();
  readonly #again = new Set<string>();
  readonly #timers = new Map<string, { timer: NodeJS.Timeout; dueAt: number }>();
  readonly #failures = new Map<string, number>();
  readonly #idle: (() => void)[] = [];
  #reconcile: Reconcile | undefined;
  #isScheduled = false;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Starts the work, also on what was added before. Until `signal` aborts. */
  start(reconcile: Reconcile, signal: AbortSignal): void {
    this.#reconcile = reconcile;
    signal.addEventListener('abort', () => this.#stop(), { once: true });
    if (signal.aborted) this.#stop();
    this.#next();
  }

  add(key: string): void {
    this.#clearTimer(key);
    if (this.#active.has(key)) this.#again.add(key);
    else this.#waiting.add(key);
    this.#next();
  }

  /** The earliest of several wishes for one key counts. */
  addAfter(key: string, delayMs: number): void {
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const dueAt = performance.now() + delayMs;
    const pending = this.#timers.get(key);
    if (pending !== undefined && pending.dueAt <= dueAt) return;
    this.#clearTimer(key);
    // setTimeout takes 31 bits of milliseconds; a longer wish is looked at again after that.
    const timer = setTimeout(() => this.add(key), Math.min(delayMs, 2 ** 31 - 1));
    timer.unref();
    this.#timers.set(key, { timer, dueAt });
  }

  /** Resolves when nothing is waiting or active (delayed keys do not count). */
  idle(): Promise<void> {
    if (this.#waiting.size === 0 && this.#active.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  /** Not at once: whoever listens to the same event shall have heard it before the work on it begins. */
  #next(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    queueMicrotask(() => {
      this.#isScheduled = false;
      this.#startWork();
    });
  }

  #startWork(): void {
    if (this.#reconcile === undefined) return;
    for (const key of this.#waiting) {
      if (this.#active.size >= this.#options.concurrency) return;
      this.#waiting.delete(key);
      this.#active.add(key);
      void this.#work(key, this.#reconcile);
    }
  }

  async #work(key: string, reconcile: Reconcile): Promise<void> {
    try {
      const requeue = await reconcile(key);
      this.#failures.delete(key);
      if (requeue) this.addAfter(key, requeue.afterMs);
    } catch (error) {
      if (this.#reconcile !== undefined) this.#fail(key, error as Error);
    }
    this.#active.delete(key);
    if (this.#again.delete(key)) this.add(key);
    this.#next();
    if (this.#waiting.size === 0 && this.#active.size === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  #fail(key: string, error: Error): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    const { first, cap } = this.#options.backoffMs ?? { first: 10, cap: 10_000 };
    this.addAfter(key, Math.min(cap, first * 2 ** Math.min(failures, 20)));
    this.#options.onError(key, error, failures + 1);
  }

  #stop(): void {
    this.#reconcile = undefined;
    this.#waiting.clear();
    this.#again.clear();
    for (const key of [...this.#timers.keys()]) this.#clearTimer(key);
  }

  #clearTimer(key: string): void {
    clearTimeout(this.#timers.get(key)?.timer);
    this.#timers.delete(key);
  }
}
