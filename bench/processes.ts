// SPDX-License-Identifier: Apache-2.0
// What the processes of a sandbox take: memory now, CPU over a while.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SandboxProcess {
  readonly pid: string;
  readonly command: string;
}

/** Every process that belongs to a sandbox: it, or one of its ancestors, names `dir`. */
export function processesOf(dir: string): SandboxProcess[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const parents = new Map(pids.map((pid) => [pid, /^PPid:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]]));
  const own = String(process.pid);
  const names = (pid: string): boolean =>
    pid !== own && (read(`/proc/${pid}/cmdline`).includes(dir) || read(`/proc/${pid}/environ`).includes(dir));
  const belongs = (pid: string | undefined): boolean =>
    pid !== undefined && pid !== '1' && (names(pid) || belongs(parents.get(pid)));
  return pids
    .filter((pid) => pid !== own && belongs(pid))
    .map((pid) => ({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim() }));
}

/** Proportional set size, MiB: shared pages count once, divided among those who share them (proc(5), smaps_rollup). */
export function proportionalSetSizeMiB(processes: readonly SandboxProcess[]): number {
  const kib = processes.map(({ pid }) => Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0));
  return kib.reduce((sum, size) => sum + size, 0) / 1024;
}

export interface CpuShare extends SandboxProcess {
  /** Of one core, in per cent; what it waited for (short programs that it started) is in it. */
  readonly percent: number;
}

const TICKS_A_SECOND = 100; // USER_HZ, the same on every Linux that we run on

/** What each process of the sandbox used in the next `seconds`, most first. */
export async function measureCpu(dir: string, seconds: number): Promise<CpuShare[]> {
  const before = new Map(processesOf(dir).map((found) => [found.pid, ticksOf(found.pid)]));
  const startedAt = performance.now();
  await sleep(seconds * 1000);
  const elapsed = (performance.now() - startedAt) / 1000;
  const after = processesOf(dir).map((found) => {
    // One that was started meanwhile brings all of its ticks.
    const ticks = ticksOf(found.pid) - (before.get(found.pid) ?? 0);
    return { ...found, percent: (ticks / TICKS_A_SECOND / elapsed) * 100 };
  });
  return after.sort((a, b) => b.percent - a.percent);
}

/** Its own, and those of ended children that it waited for (proc(5), stat: utime, stime, cutime, cstime). */
function ticksOf(pid: string): number {
  const fields = read(`/proc/${pid}/stat`)
    .replace(/^.*\) /, '')
    .split(' ');
  return [11, 12, 13, 14].reduce((sum, index) => sum + Number(fields[index] ?? 0), 0);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // it ended meanwhile
  }
}
