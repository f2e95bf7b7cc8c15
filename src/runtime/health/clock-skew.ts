// SPDX-License-Identifier: Apache-2.0
// Tokens are dated by the API server's clock, certificates by ours: when the two differ, both fail in ways that name
// everything but the clock. So the clocks are compared, and the difference is said aloud.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client.ts';

export interface ClockWatch {
  readonly client: Pick<KubeClient, 'clock'>;
  readonly log: Logger;
  /** Our own clock. */
  readonly nowMs: () => number;
  /** Ours minus the API server's, each time that it has been found out. */
  readonly observe: (skewMs: number) => void;
  /** At every look while the clocks differ too much. */
  readonly trouble: (message: string) => void;
  readonly intervalMs?: number;
}

/** Tokens and certificates bear a few minutes; what is half a minute off seldom stays there. */
const SKEW_WARNING_MS = 30_000;
const INTERVAL_MS = 60_000;
const REMIND_MS = 3_600_000;
/** An answer that took longer says little about when it was given. */
const MAX_TRIP_MS = 5_000;

/** Compares until `signal` aborts. Never rejects: an API server that is away is others' matter. */
export async function watchClock(options: ClockWatch, signal: AbortSignal): Promise<void> {
  const { client, log, nowMs, observe, trouble, intervalMs = INTERVAL_MS } = options;
  let warnedAtMs: number | undefined;
  while (!signal.aborted) {
    const startedAtMs = nowMs();
    const serverMs = await client.clock().catch(() => undefined);
    const tripMs = nowMs() - startedAtMs;
    if (serverMs !== undefined && tripMs <= MAX_TRIP_MS) {
      const skewMs = startedAtMs + tripMs / 2 - serverMs;
      observe(skewMs);
      const isOff = Math.abs(skewMs) >= SKEW_WARNING_MS;
      const message =
        `the control plane’s clock is ${describeSkew(skewMs)} the API server’s: tokens and certificates will be ` +
        'taken for expired, or for not yet valid; set the clocks of the nodes (NTP)';
      if (isOff) trouble(message);
      if (isOff && (warnedAtMs === undefined || startedAtMs - warnedAtMs >= REMIND_MS)) {
        warnedAtMs = startedAtMs;
        log.warn({ skewSeconds: Math.round(skewMs / 1000) }, message);
      } else if (!isOff && warnedAtMs !== undefined) {
        warnedAtMs = undefined;
        log.info('the control plane’s clock agrees with the API server’s again');
      }
    }
    await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => {});
  }
}

/** `3600 s ahead of`, `90 s behind`. */
function describeSkew(skewMs: number): string {
  return `${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? 'ahead of' : 'behind'}`;
}
