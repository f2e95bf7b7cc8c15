// SPDX-License-Identifier: Apache-2.0
// Which process a number means: numbers are used again, so a record holds when the process began and in which namespace.
import { readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since the machine's start (field 22 of /proc/PID/stat). */
  readonly startTicks: string;
  /** `pid:[4026532288]`: the pid namespace whose first process it is. */
  readonly pidNamespace: string;
}

/** undefined when the process has ended. */
export function identifyProcess(pid: number): ProcessIdentity | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The name in parentheses may hold anything; what follows it is numbers. Field 3 comes first.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { pid, startTicks: fields[19] ?? '', pidNamespace: readlinkSync(`/proc/${pid}/ns/pid`) };
  } catch {
    return undefined;
  }
}

/** `mnt:[4026532288]`, which all processes of a container share and nobody else; undefined when the process has ended. */
export function mountNamespaceOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return undefined;
  }
}

/** All processes in a mount namespace. */
export function processesIn(mountNamespace: string): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => mountNamespaceOf(pid) === mountNamespace);
}

/** Ends the namespace of the recorded process, with everything in it, unless the number means another process now. */
export function killRecorded(record: ProcessIdentity): boolean {
  const now = identifyProcess(record.pid);
  if (now?.startTicks !== record.startTicks || now.pidNamespace !== record.pidNamespace) return false;
  try {
    process.kill(record.pid, 'SIGKILL');
    return true;
  } catch {
    return false;
  }
}

/** The containers' first processes on disk, so that a node that starts again after kill -9 finds what was left. */
export class ProcessRecords {
  readonly #folder: string;

  /** @param folder exists already */
  constructor(folder: string) {
    this.#folder = folder;
  }

  write(containerId: string, identity: ProcessIdentity): void {
    writeFileSync(join(this.#folder, `${containerId}.json`), JSON.stringify(identity), { mode: 0o600 });
  }

  remove(containerId: string): void {
    rmSync(join(this.#folder, `${containerId}.json`), { force: true });
  }

  /** Kills every recorded process that still lives and forgets all records. Returns how many it killed. */
  killAll(): number {
    let killed = 0;
    for (const file of readdirSync(this.#folder)) {
      if (!file.endsWith('.json')) continue;
      const path = join(this.#folder, file);
      try {
        if (killRecorded(JSON.parse(readFileSync(path, 'utf8')) as ProcessIdentity)) killed++;
      } catch {
        // Cut off in the middle of writing: such a process dies with the node by its death signal.
      }
      rmSync(path, { force: true });
    }
    return killed;
  }
}
