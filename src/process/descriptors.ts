// SPDX-License-Identifier: Apache-2.0
// A process without a free file descriptor takes no connection, and nobody tells it so: libuv accepts and closes them at
// once. So the descriptors are counted.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface DescriptorUse {
  readonly open: number;
  readonly limit: number;
}

const INTERVAL_MS = 2_000;
const WARN_SHARE = 0.9;
const WELL_SHARE = 0.8;
const REMIND_MS = 10 * 60_000;

/** Of this process; undefined where that cannot be known (no /proc). Without a free one, all count as used. */
function descriptorUse(): DescriptorUse | undefined {
  try {
    const text = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    if (text === undefined) return undefined;
    return { open: readdirSync('/proc/self/fd').length, limit: Number(text) };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code === 'EMFILE' || code === 'ENFILE' ? { open: Number.POSITIVE_INFINITY, limit: 0 } : undefined;
  }
}

export interface DescriptorTold {
  /** At every look while descriptors are short; `isNews` at the first, and from time to time. */
  short(message: string, isNews: boolean): void;
  enough(): void;
}

/** Looks until `signal` aborts. Never rejects. */
export async function watchDescriptors(
  told: DescriptorTold,
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
      const isNews = warnedAtMs === undefined || performance.now() - warnedAtMs >= REMIND_MS;
      if (isNews) warnedAtMs = performance.now();
      told.short(message, isNews);
    } else if (warnedAtMs !== undefined && share < WELL_SHARE) {
      warnedAtMs = undefined;
      told.enough();
    }
    await sleep(intervalMs, undefined, { signal, ref: false }).catch(() => {});
  }
}
