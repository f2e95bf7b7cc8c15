// SPDX-License-Identifier: Apache-2.0
// The end of a container that runs, in the kubelet's order: preStop, its turn among the pod's containers, SIGTERM,
// SIGKILL. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
import type { RunningContainer } from '../container/container-runtime.ts';
import type { HandlerResult } from './handler.ts';

export interface EndingPlan {
  /** The hook and the time after SIGTERM together. 0 kills at once: no hook, no SIGTERM. */
  readonly graceMs: number;
  /** Runs the hook and gives it up after the time. */
  readonly preStop?: ((timeoutMs: number) => Promise<HandlerResult>) | undefined;
  /** SIGTERM waits for this, within the grace period: a sidecar outlives the containers that it serves. */
  readonly turn?: Promise<unknown> | undefined;
  readonly hookFailed: (message: string) => void;
}

/** Whatever the hook and the turn have used up, a program has this long between the two signals. */
const MIN_WINDOW_MS = 2_000;

export class ContainerEnding {
  /** Resolves when the container is gone. */
  readonly done: Promise<void>;
  readonly #running: RunningContainer;
  readonly #over = Promise.withResolvers<void>();
  #deadline: number;
  #timer: NodeJS.Timeout | undefined;
  #killNotBefore = 0;

  constructor(running: RunningContainer, plan: EndingPlan) {
    this.#running = running;
    this.#deadline = Date.now() + plan.graceMs;
    this.done = this.#end(plan);
  }

  /** A later order can only shorten the time that is left. */
  hurry(graceMs: number): void {
    const deadline = Date.now() + graceMs;
    if (graceMs === 0) this.#running.kill('SIGKILL');
    if (deadline >= this.#deadline) return;
    this.#deadline = deadline;
    this.#arm();
  }

  async #end({ graceMs, preStop, turn, hookFailed }: EndingPlan): Promise<void> {
    const { exited } = this.#running;
    if (graceMs === 0) {
      this.#running.kill('SIGKILL');
      await exited;
      return;
    }
    this.#arm();
    const isOver = Promise.race([exited, this.#over.promise]);
    if (preStop) {
      const result = await Promise.race([preStop(graceMs), isOver.then(() => undefined)]);
      if (result && !result.succeeded) hookFailed(result.message);
    }
    if (turn) await Promise.race([turn, isOver]);
    this.#running.kill('SIGTERM');
    this.#killNotBefore = Date.now() + MIN_WINDOW_MS;
    this.#arm();
    await exited;
    clearTimeout(this.#timer);
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const hasSignal = this.#killNotBefore > 0;
    const at = Math.max(this.#deadline, this.#killNotBefore);
    this.#timer = setTimeout(
      () => {
        if (hasSignal) this.#running.kill('SIGKILL');
        else this.#over.resolve();
      },
      Math.max(0, at - Date.now()),
    );
  }
}
