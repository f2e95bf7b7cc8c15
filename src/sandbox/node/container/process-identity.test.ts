// SPDX-License-Identifier: Apache-2.0
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { identifyProcess, killRecorded, ProcessRecords } from './process-identity.ts';

let child: ChildProcess;
let dir: string;
beforeEach(() => {
  child = spawn('sleep', ['600']);
  dir = mkdtempSync(join(tmpdir(), 'isthmus-records-'));
});
afterEach(() => {
  child.kill('SIGKILL');
  rmSync(dir, { recursive: true });
});

describe('process records', () => {
  it('lead to the process that was recorded', async () => {
    const exited = once(child, 'exit');
    new ProcessRecords(dir).write('a', identifyProcess(child.pid!)!);
    writeFileSync(join(dir, 'cut.json'), '{"pid":');
    expect(new ProcessRecords(dir).killAll()).toBe(1);
    expect((await exited)[1]).toBe('SIGKILL');
    expect(readdirSync(dir)).toEqual([]);
  });

  it('do not lead to another process that has the number now', () => {
    const identity = identifyProcess(child.pid!)!;
    expect(killRecorded({ ...identity, startTicks: '1' })).toBe(false);
    expect(killRecorded({ ...identity, pidNamespace: 'pid:[1]' })).toBe(false);
    expect(identifyProcess(child.pid!)).toEqual(identity);
  });

  it('know that a process is gone', async () => {
    const identity = identifyProcess(child.pid!)!;
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(identifyProcess(identity.pid)).toBeUndefined();
    expect(killRecorded(identity)).toBe(false);
  });
});
