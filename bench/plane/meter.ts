// SPDX-License-Identifier: Apache-2.0
// What a process takes, as the kernel counts it (proc(5)).
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Usage } from './result.ts';

const TICKS_A_SECOND = 100; // USER_HZ, the same on every Linux that we run on

/** CPU seconds of a process so far: in steps of 10 ms, and of its living threads by the scheduler's finer count. */
function cpuOf(pid: number): { ticks: number; fine: number } {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  let fine = 0;
  for (const task of readdirSync(`/proc/${pid}/task`)) {
    try {
      fine += Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9;
    } catch {
      // The thread has ended meanwhile.
    }
  }
  return { ticks: (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND, fine };
}

/** CPU seconds of a process since it was started. */
export function cpuSeconds(pid: number): number {
  return cpuOf(pid).ticks;
}

/** Resident memory now, or the most ever. */
export function memoryMiB(pid: number, member: 'VmRSS' | 'VmHWM'): number {
  const found = new RegExp(`^${member}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(found?.[1] ?? 0) / 1024;
}

/** CPU seconds that the machine has spent on anything but idling, and that its host took from it. */
export function machineSeconds(): { busy: number; stolen: number } {
  const [line = ''] = readFileSync('/proc/stat', 'utf8').split('\n');
  const [user, nice, system, , , irq, softirq, stolen] = line.split(/\s+/).slice(1).map(Number);
  return {
    busy: (user! + nice! + system! + irq! + softirq!) / TICKS_A_SECOND,
    stolen: (stolen ?? 0) / TICKS_A_SECOND,
  };
}

function ownSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Counts from its construction; the load is this process. */
export class Meter {
  readonly #pid: number | undefined;
  readonly #startedAt = performance.now();
  readonly #busy = machineSeconds().busy;
  readonly #own = ownSeconds();
  readonly #cpu: { ticks: number; fine: number } | undefined;

  /** Undefined: nobody's CPU and memory, which are NaN then. */
  constructor(pid: number | undefined) {
    this.#pid = pid;
    if (pid === undefined) return;
    // The peak counts from now on (proc(5), clear_refs).
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    this.#cpu = cpuOf(pid);
  }

  usage(): Omit<Usage, 'bytes'> {
    const own = ownSeconds() - this.#own;
    let [cpu, peak] = [Number.NaN, Number.NaN];
    if (this.#pid !== undefined && this.#cpu !== undefined) {
      const { ticks, fine } = cpuOf(this.#pid);
      const byTicks = ticks - this.#cpu.ticks;
      cpu = fine - this.#cpu.fine;
      // Threads that have ended took their share along.
      if (cpu < byTicks - 0.02) cpu = byTicks;
      peak = memoryMiB(this.#pid, 'VmHWM');
    }
    return {
      wallSeconds: (performance.now() - this.#startedAt) / 1000,
      serverCPUSeconds: cpu,
      serverPeakRSSMiB: peak,
      otherCPUSeconds: Math.max(0, machineSeconds().busy - this.#busy - own - (cpu || 0)),
    };
  }
}
