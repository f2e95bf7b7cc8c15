// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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

  it('of a killed holder goes to one of those who wait, then to the next; its leavings go', async () => {
    const dead = { ...identify(process.pid)!, startTicks: '1' };
    writeFileSync(file, JSON.stringify(dead));
    writeFileSync(`${file}.1`, JSON.stringify(dead));
    const log = join(dir, 'log');
    const program = `
      const { withLock } = await import(${JSON.stringify(new URL('./lock.ts', import.meta.url).href)});
      const { appendFileSync } = await import('node:fs');
      await withLock(${JSON.stringify(file)}, 60_000, async () => {
        appendFileSync(${JSON.stringify(log)}, 'in ');
        await new Promise((resolve) => setTimeout(resolve, 50));
        appendFileSync(${JSON.stringify(log)}, 'out ');
      });`;
    const waiting = Array.from({ length: 3 }, () =>
      spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program]),
    );
    const codes = await Promise.all(waiting.map(async (child) => (await once(child, 'exit'))[0]));
    expect([codes, readFileSync(log, 'utf8')]).toEqual([[0, 0, 0], 'in out in out in out ']);
    expect(readdirSync(dir)).toEqual(['log']);
  }, 60_000);

  it('a process id that was given away again is not the same process', () => {
    const own = identify(process.pid)!;
    expect(isAlive(own)).toBe(true);
    expect(isAlive({ ...own, startTicks: '1' })).toBe(false);
    expect(isAlive({ ...own, bootId: 'another' })).toBe(false);
    expect(identify(0x7fff_fff0)).toBeUndefined();
  });
});
