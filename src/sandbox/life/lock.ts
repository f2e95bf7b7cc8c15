// SPDX-License-Identifier: Apache-2.0
// One command at a time changes a sandbox: `up` and `down` hold this lock while they work.
import { linkSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson } from '../atomic-file.ts';
import { SandboxError } from '../layout.ts';
import { identify, isAlive, type ProcessIdentity } from './process-identity.ts';

const RETRY_MS = 100;

/**
 * Runs `work` holding `file`; waits for another process that holds it, and takes it over from one that has died.
 * @throws SandboxError when it is still held after `timeoutMs`.
 */
export async function withLock<T>(file: string, timeoutMs: number, work: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  while (!tryLock(file)) {
    const holder = readJson<ProcessIdentity>(file);
    if (performance.now() > deadline) {
      throw new SandboxError(
        `Another command is working on this sandbox (process ${holder?.pid ?? '?'}). Wait for it, or end it and try again.`,
      );
    }
    await sleep(RETRY_MS);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}

/** link(2) is atomic and carries the content with it: a lock without its holder's name never exists. */
function tryLock(file: string): boolean {
  const own = `${file}.${process.pid}`;
  writeFileSync(own, JSON.stringify(identify(process.pid)), { mode: 0o600 });
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    const holder = readJson<ProcessIdentity>(file);
    if (holder !== undefined && !isAlive(holder)) rmSync(file, { force: true });
    return false;
  } finally {
    rmSync(own, { force: true });
  }
}
