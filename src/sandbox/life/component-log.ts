// SPDX-License-Identifier: Apache-2.0
// Logs of components do not grow for ever: what is long is put aside as NAME.log.1, which it replaces.
import { copyFileSync, existsSync, readdirSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const MAX_BYTES = 20_000_000;
const INTERVAL_MS = 5_000;

/** Looks after every log in `dir` until `signal` aborts. */
export async function boundLogs(dir: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    for (const file of existsSync(dir) ? readdirSync(dir) : []) {
      if (file.endsWith('.log')) shorten(join(dir, file), MAX_BYTES);
    }
    await sleep(INTERVAL_MS, undefined, { signal }).catch(() => {});
  }
}

/**
 * Copied and emptied, not renamed: its writer holds it open, and appends. What is written between the two is lost.
 * A full disk must not stop the sandbox: the log is emptied all the same.
 */
export function shorten(logFile: string, maxBytes: number): void {
  const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= maxBytes) return;
  try {
    copyFileSync(logFile, `${logFile}.1`);
  } catch {
    rmSync(`${logFile}.1`, { force: true });
  }
  truncateSync(logFile);
}
