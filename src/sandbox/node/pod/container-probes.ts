// SPDX-License-Identifier: Apache-2.0
// What the probes of one container say while it runs: whether it has started, whether it is ready, whether it must go.
import type { Container, Probe } from '../pod-types.ts';
import type { HandlerResult, HandlerTarget } from './handler.ts';
import { runProbe } from './probe-loop.ts';

export interface ProbeListener {
  changed(): void;
  /** A failure that counts, as the kubelet's event says it. */
  unhealthy(message: string): void;
  /** A probe has failed for good: the container is to be ended and started again. */
  condemned(kind: 'liveness' | 'startup', probe: Probe): void;
}

export class ContainerProbes {
  isStarted: boolean;
  isReady: boolean;
  readonly #listener: ProbeListener;
  /** Liveness and startup. Readiness goes on to the container's last moment. */
  readonly #judging = new AbortController();

  constructor(spec: Container, target: HandlerTarget, listener: ProbeListener, ended: AbortSignal) {
    this.#listener = listener;
    this.isStarted = !spec.startupProbe;
    this.isReady = this.isStarted && !spec.readinessProbe;
    void this.#run(spec, target, ended);
  }

  /** The container is being ended: nobody needs to kill it any more. */
  stopJudging(): void {
    this.#judging.abort();
  }

  async #run(spec: Container, target: HandlerTarget, ended: AbortSignal): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = spec;
    if (startupProbe) await this.#awaitStart(startupProbe, !readinessProbe, target, ended);
    if (ended.aborted || !this.isStarted) return;
    if (readinessProbe) void this.#followReadiness(readinessProbe, target, ended);
    if (livenessProbe) {
      const failed = this.#condemn('liveness', livenessProbe);
      const signal = AbortSignal.any([ended, this.#judging.signal]);
      void runProbe(livenessProbe, target, false, { passed: () => {}, failed }, signal);
    }
  }

  async #awaitStart(probe: Probe, makesReady: boolean, target: HandlerTarget, ended: AbortSignal): Promise<void> {
    const hasPassed = new AbortController();
    const signal = AbortSignal.any([hasPassed.signal, ended, this.#judging.signal]);
    const passed = () => {
      this.isStarted = true;
      this.isReady = makesReady;
      hasPassed.abort();
      this.#listener.changed();
    };
    await runProbe(probe, target, true, { passed, failed: this.#condemn('startup', probe) }, signal);
  }

  #followReadiness(probe: Probe, target: HandlerTarget, ended: AbortSignal): Promise<void> {
    const setReady = (isReady: boolean) => {
      if (this.isReady === isReady) return;
      this.isReady = isReady;
      this.#listener.changed();
    };
    const failed = (result: HandlerResult, isFinal: boolean) => {
      this.#listener.unhealthy(`Readiness probe failed: ${result.message}`);
      if (isFinal) setReady(false);
    };
    return runProbe(probe, target, true, { passed: () => setReady(true), failed }, ended);
  }

  #condemn(kind: 'liveness' | 'startup', probe: Probe) {
    const title = kind === 'liveness' ? 'Liveness' : 'Startup';
    return (result: HandlerResult, isFinal: boolean) => {
      this.#listener.unhealthy(`${title} probe failed: ${result.message}`);
      if (!isFinal) return;
      this.stopJudging();
      this.#listener.condemned(kind, probe);
    };
  }
}
