// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withLock } from './lock.ts';
import { identify, isAlive } from './process-identity.ts';

describe('the lock of a sandbox', () => {
  let dir: string;
  let file: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'isthmus-lock-'));
    file = join(dir, 'x.lock');
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  it('lets one in at a time, and is gone afterwards, also after a failure', async () => {
    let inside = 0;
    const work = async () => {
      expect(++inside).toBe(1);
      await sleep(20);
      inside--;
    };
    await Promise.all([withLock(file, 5_000, work), withLock(file, 5_000, work), withLock(file, 5_000, work)]);
    await expect(withLock(file, 1_000, () => Promise.reject(new Error('oh')))).rejects.toThrow('oh');
    expect(existsSync(file)).toBe(false);
  });

  it('names the process that holds it', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    await once(child, 'spawn');
    writeFileSync(file, JSON.stringify(identify(child.pid!)));
    await expect(withLock(file, 150, async () => 1)).rejects.toThrow(new RegExp(`process ${child.pid}`));
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await withLock(file, 1_000, async () => 1)).toBe(1);
  });

  it('a process id that was given away again is not the same process', () => {
    const own = identify(process.pid)!;
    expect(isAlive(own)).toBe(true);
    expect(isAlive({ ...own, startTicks: '1' })).toBe(false);
    expect(isAlive({ ...own, bootId: 'another' })).toBe(false);
    expect(identify(0x7fff_fff0)).toBeUndefined();
  });
});
