// SPDX-License-Identifier: Apache-2.0
// Which process was meant: a process id alone is given to another process sooner or later.
import { readFileSync } from 'node:fs';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks from boot to the process's start, proc(5) field 22: with the boot id it is unique. */
  readonly startTicks: string;
  readonly bootId: string;
}

export function identify(pid: number): ProcessIdentity | undefined {
  const startTicks = readStartTicks(pid);
  return startTicks === undefined ? undefined : { pid, startTicks, bootId: readBootId() };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identity.bootId === readBootId() && readStartTicks(identity.pid) === identity.startTicks;
}

/** @returns undefined when there is no such process, or only what is left of one until its parent has looked (a zombie). */
function readStartTicks(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return undefined;
  }
  // The command's name, in parentheses, may contain anything; the fields behind it are numbers and letters.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' ? undefined : fields[19];
}

function readBootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
}
