// SPDX-License-Identifier: Apache-2.0

/**
 * Runs jobs in the order of their first request, each at most once however often it was asked for meanwhile, and gives the
 * event loop a turn whenever they have taken `sliceMs`: with one stream a change goes out at once, with many they
 * coalesce. In 20 ms some seven hundred streams are written to: acknowledgements of the first, read in between, made the last
 * wait a fifth longer (docs/decisions/0038).
 */
export class Turns {
  readonly #waiting = new Set<() => void>();
  readonly #sliceMs: number;
  #isScheduled = false;

  constructor(sliceMs = 20) {
    this.#sliceMs = sliceMs;
  }

  request(job: () => void): void {
    this.#waiting.add(job);
    this.#schedule();
  }

  cancel(job: () => void): void {
    this.#waiting.delete(job);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#waiting.size === 0) return;
    this.#isScheduled = true;
    setImmediate(() => this.#run());
  }

  #run(): void {
    this.#isScheduled = false;
    const startMs = performance.now();
    for (const job of this.#waiting) {
      this.#waiting.delete(job);
      job();
      if (performance.now() - startMs >= this.#sliceMs) break;
    }
    this.#schedule();
  }
}
