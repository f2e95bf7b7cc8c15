// SPDX-License-Identifier: Apache-2.0
// A process without a free file descriptor takes no connection, and nobody tells it so: libuv accepts and closes them at
// once. So the descriptors are counted.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

export interface DescriptorUse {
  readonly open: number;
  readonly limit: number;
}

const INTERVAL_MS = 5_000;
const WARN_SHARE = 0.9;
const WELL_SHARE = 0.8;
const REMIND_MS = 10 * 60_000;

/** Of this process; undefined where that cannot be known (no /proc). Without a free one, all count as used. */
export function descriptorUse(): DescriptorUse | undefined {
  try {
    const text = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    if (text === undefined) return undefined;
    return { open: readdirSync('/proc/self/fd').length, limit: Number(text) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE' ? { open: Number.POSITIVE_INFINITY, limit: 0 } : undefined;
  }
}

/** Looks until `signal` aborts; `short` is told at every look while descriptors are short. */
export async function watchDescriptors(
  log: Logger,
  short: (message: string) => void,
  signal: AbortSignal,
  { use = descriptorUse, intervalMs = INTERVAL_MS }: { use?: typeof descriptorUse; intervalMs?: number } = {},
): Promise<void> {
  let warnedAtMs: number | undefined;
  while (!signal.aborted) {
    const found = use();
    const share = found === undefined ? 0 : found.open / Math.max(found.limit, 1);
    if (found !== undefined && share >= WARN_SHARE) {
      const count = Number.isFinite(found.open) ? `${found.open} of ${found.limit}` : 'all';
      const message =
        `${count} file descriptors are in use: new connections fail soon; raise the limit (ulimit -n), or find who ` +
        'holds so many connections';
      if (warnedAtMs === undefined || performance.now() - warnedAtMs >= REMIND_MS) {
        warnedAtMs = performance.now();
        log.error(message);
      }
      short(message);
    } else if (warnedAtMs !== undefined && share < WELL_SHARE) {
      warnedAtMs = undefined;
      log.info('there are enough file descriptors again');
    }
    await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => {});
  }
}
