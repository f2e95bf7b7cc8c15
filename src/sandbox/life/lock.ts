// SPDX-License-Identifier: Apache-2.0
// One command at a time changes a sandbox: `up` and `down` hold this lock while they work.
import { linkSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson } from '../atomic-file.ts';
import { SandboxError } from '../layout.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

const RETRY_MS = 100;
/** Longer than it takes from reading a name to writing the next one. */
const TAKE_OVER_MS = 200;

/**
 * Runs `work` holding `file`; waits for another process that holds it, and takes it over from one that has died.
 * @throws SandboxError when it is still held after `timeoutMs`.
 */
export async function withLock<T>(file: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  while (!(await tryLock(file))) {
    const holder = readJson<ProcessIdentity>(file);
    if (performance.now() > deadline) {
      throw new SandboxError(
        `Another command is working on this sandbox (process ${holder?.pid ?? '?'}). Wait for it, or end it and try again.`,
      );
    }
    await sleep(RETRY_MS);
  }
  try {
    removeLeavings(file);
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** link(2) is atomic and carries the content with it: a lock without its holder's name never exists. */
async function tryLock(file: string): Promise<boolean> {
  const own = `${file}.${process.pid}`;
  const self = identify(process.pid)!;
  writeFileSync(own, JSON.stringify(self), { mode: 0o600 });
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const holder = readJson<ProcessIdentity>(file);
    return holder !== undefined && !isAlive(holder) && (await takeOver(file, own, self));
  } finally {
    rmSync(own, { force: true });
  }
}

/** Several may find the holder dead at once: each puts its name there, and the last one has the lock. */
async function takeOver(file: string, own: string, self: ProcessIdentity): Promise<boolean> {
  renameSync(own, file);
  await sleep(TAKE_OVER_MS);
  const holder = readJson<ProcessIdentity>(file);
  return holder?.pid === self.pid && holder.startTicks === self.startTicks;
}

/** Who was killed in `tryLock` has left its own file. */
function removeLeavings(file: string): void {
  const dir = dirname(file);
  for (const name of readdirSync(dir).filter((each) => each.startsWith(`${basename(file)}.`))) {
    const owner = readJson<ProcessIdentity>(join(dir, name));
    if (owner === undefined || !isAlive(owner)) rmSync(join(dir, name), { force: true });
  }
}
