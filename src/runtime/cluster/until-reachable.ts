// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { KubeError } from '../../kube/client.ts';

const RETRY_MS = 2_000;

/** Tries until the API server can be reached; undefined when `signal` aborts first. Its refusals are thrown. */
export async function untilReachable<T>(
  attempt: () => Promise<T>,
  log: Logger,
  signal: AbortSignal,
): Promise<T | undefined> {
  while (!signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      // The client puts what stopped it behind its own words.
      const isNetwork = !(error instanceof KubeError) && (error as Error).cause instanceof Error;
      const isBusy = error instanceof KubeError && error.code >= 500;
      if (!isNetwork && !isBusy) throw error;
      log.warn({ err: (error as Error).message }, 'the API server cannot be reached; trying again');
    }
    await sleep(RETRY_MS, undefined, { signal }).catch(() => {});
  }
  return undefined;
}
