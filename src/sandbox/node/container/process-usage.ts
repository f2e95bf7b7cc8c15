// SPDX-License-Identifier: Apache-2.0
// What the processes of containers use, read from /proc when somebody asks: nothing is sampled in between.
import { readdir, readFile, readlink } from 'node:fs/promises';

export interface Usage {
  /** Of all processes that the container has and had, as far as their parents still live. */
  readonly cpuNanoseconds: number;
  /** The container's share: what several processes have mapped counts for each in part (PSS). */
  readonly memoryBytes: number;
}

/** USER_HZ: the same on every architecture that Linux tells programs about (proc(5)). */
const TICKS_PER_SECOND = 100;
const NANOSECONDS_PER_TICK = 1e9 / TICKS_PER_SECOND;
const PAGE_BYTES = 4096;

/** Pid namespace (`pid:[4026532288]`) -> what its processes use together. One look through /proc for all of them. */
export async function readUsages(namespaces: ReadonlySet<string>): Promise<Map<string, Usage>> {
  const usages = new Map<string, Usage>();
  if (namespaces.size === 0) return usages;
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  await Promise.all(
    pids.map(async (pid) => {
      const namespace = await readlink(`/proc/${pid}/ns/pid`).catch(() => '');
      if (!namespaces.has(namespace)) return;
      const usage = await readProcess(pid);
      if (!usage) return;
      const sum = usages.get(namespace) ?? { cpuNanoseconds: 0, memoryBytes: 0 };
      usages.set(namespace, {
        cpuNanoseconds: sum.cpuNanoseconds + usage.cpuNanoseconds,
        memoryBytes: sum.memoryBytes + usage.memoryBytes,
      });
    }),
  );
  return usages;
}

/** undefined when it has ended meanwhile. */
async function readProcess(pid: string): Promise<Usage | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  if (stat === undefined) return undefined;
  return { cpuNanoseconds: parseCpuTicks(stat) * NANOSECONDS_PER_TICK, memoryBytes: await readMemory(pid) };
}

/** Fields 14 to 17 of /proc/PID/stat: its own user and system time, and those of its children that have ended. */
export function parseCpuTicks(stat: string): number {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

async function readMemory(pid: string): Promise<number> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  const kibibytes = /^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1];
  if (kibibytes !== undefined) return Number(kibibytes) * 1024;
  const statm = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => '');
  return Number(statm.split(' ')[1] ?? 0) * PAGE_BYTES;
}

/** The machine's: all that is not idle, and all memory that is not available. */
export async function readMachineUsage(): Promise<Usage> {
  const cpu =
    /^cpu\s+(.*)$/m
      .exec(await readFile('/proc/stat', 'utf8'))?.[1]
      ?.split(' ')
      .map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = cpu;
  const meminfo = await readFile('/proc/meminfo', 'utf8');
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo)?.[1] ?? 0);
  return {
    cpuNanoseconds: (user + nice + system + irq + softirq) * NANOSECONDS_PER_TICK,
    memoryBytes: (kibibytes('MemTotal') - kibibytes('MemAvailable')) * 1024,
  };
}
