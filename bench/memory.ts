// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync } from 'node:fs';

/**
 * The proportional set size of every process that belongs to a sandbox, MiB: shared pages count once, divided among
 * those who share them (proc(5), smaps_rollup). A process belongs when it, or one of its ancestors, names `dir`.
 */
export function proportionalSetSizeMiB(dir: string): number {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = new Map(pids.map((pid) => [pid, parentOf(pid)]));
  const belongs = (pid: string | undefined): boolean =>
    pid !== undefined && pid !== '1' && (names(pid, dir) || belongs(parents.get(pid)));
  let kib = 0;
  for (const pid of pids) {
    if (pid === String(process.pid) || !belongs(pid)) continue;
    kib += Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
  }
  return Math.round(kib / 1024);
}

function names(pid: string, dir: string): boolean {
  return (
    pid !== String(process.pid) &&
    (read(`/proc/${pid}/cmdline`).includes(dir) || read(`/proc/${pid}/environ`).includes(dir))
  );
}

function parentOf(pid: string): string | undefined {
  return /^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1];
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it ended meanwhile
  }
}
