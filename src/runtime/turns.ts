// SPDX-License-Identifier: Apache-2.0
// One thing after another, and none of them for so long at a stretch that others wait: streams, webhooks and probes are
// served by the same event loop.
import type { Steps } from '../incremental/steps.ts';

/** What is done before others have their turn, in milliseconds of CPU: a machine that is busy with other things cuts nothing short. */
const TURN_MS = 10;
/** Less is done at once, whatever code runs for the first time: who changes a few things finds them changed. */
const FEW_STEPS = 256;
const FEW_MS = 200;

export class Turns {
  readonly #cpuMs: () => number;
  readonly #waiting: Steps<unknown>[] = [];
  #isBusy = false;

  constructor(cpuMs: () => number = threadCpuMs) {
    this.#cpuMs = cpuMs;
  }

  /** In the order of calls. What is small, with nothing before it, is done when this returns. */
  add(work: Steps<unknown>): void {
    this.#waiting.push(work);
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#turn(FEW_STEPS);
  }

  #turn(few: number): void {
    const startedAtMs = this.#cpuMs();
    let steps = 0;
    try {
      for (let work = this.#waiting[0]; work !== undefined; work = this.#waiting[0]) {
        if (work.next().done === true) this.#waiting.shift();
        else if (this.#cpuMs() - startedAtMs >= (++steps < few ? FEW_MS : TURN_MS)) break;
      }
    } catch (error) {
      this.#waiting.shift();
      throw error;
    } finally {
      this.#isBusy = this.#waiting.length > 0;
      if (this.#isBusy) setImmediate(() => this.#turn(0));
    }
  }
}

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}
