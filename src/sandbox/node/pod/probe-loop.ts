// SPDX-License-Identifier: Apache-2.0
// Probes a container for as long as it runs.
import type { Probe } from '../pod-types.ts';
import { type HandlerResult, type HandlerTarget, runHandler } from './handler.ts';
import { pause } from './pause.ts';

/**
 * Until its first success a probe is tried this often, whatever its period: programs here start in tenths of a second,
 * and whoever waits for them should not wait for a period of ten. A command costs more than a request.
 */
const EAGER_MS = 100;
const EAGER_EXEC_MS = 300;
/** Then it is given up as a slow starter. */
const EAGER_FOR_MS = 15_000;

export interface ProbeOutcomes {
  /** successThreshold reached. */
  passed(): void;
  /** A failure that counts, `final` when it reaches failureThreshold. */
  failed(result: HandlerResult, final: boolean): void;
}

/**
 * @param isEager for readiness and startup: successes count before initialDelaySeconds is over, failures do not
 */
export async function runProbe(
  probe: Probe,
  target: HandlerTarget,
  isEager: boolean,
  outcomes: ProbeOutcomes,
  signal: AbortSignal,
): Promise<void> {
  const periodMs = (probe.periodSeconds ?? 10) * 1000;
  const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
  const delayMs = (probe.initialDelaySeconds ?? 0) * 1000;
  const failureThreshold = probe.failureThreshold ?? 3;
  const begin = Date.now();
  if (!isEager) await pause(delayMs, signal);
  let successes = 0;
  let failures = 0;
  let hasPassed = false;
  // An eager probe asks long before its time: until a period has passed, no answer is no failure.
  let failureCountsAt = begin + (isEager ? delayMs + periodMs : 0);
  while (!signal.aborted) {
    const result = await runHandler(probe, target, timeoutMs);
    if (signal.aborted) return;
    if (result.succeeded) {
      failures = 0;
      successes++;
      if (successes >= (probe.successThreshold ?? 1)) {
        hasPassed = true;
        outcomes.passed();
      }
    } else {
      successes = 0;
      if (hasPassed || Date.now() >= failureCountsAt) {
        failures++;
        failureCountsAt = Date.now() + periodMs;
        outcomes.failed(result, failures >= failureThreshold);
      }
    }
    const isHurried = isEager && !hasPassed && Date.now() - begin < EAGER_FOR_MS;
    const eagerMs = probe.exec ? EAGER_EXEC_MS : EAGER_MS;
    await pause(isHurried ? Math.min(periodMs, eagerMs) : periodMs, signal);
  }
}
