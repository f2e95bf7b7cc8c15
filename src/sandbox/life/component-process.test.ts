// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ComponentStatus, type ComponentTiming, keepRunning } from './component-process.ts';

const TIMING: ComponentTiming = { firstBackoffMs: 10, maxBackoffMs: 40, healthyAfterMs: 60_000, stopTimeoutMs: 100 };

describe('a component', () => {
  let dir: string;
  beforeEach(() => {
    dir = mkdtempSync(join(tmpdir(), 'isthmus-component-'));
  });
  afterEach(() => rmSync(dir, { recursive: true, force: true }));

  function start(program: string, onReady?: () => void) {
    const seen: ComponentStatus[] = [];
    const ending = new AbortController();
    const spec = {
      name: 'test',
      command: [process.execPath, '-e', program],
      logFile: join(dir, 'test.log'),
      env: process.env,
    };
    let wake = () => {};
    const onChange = (status: ComponentStatus) => {
      seen.push(status);
      wake();
    };
    const done = keepRunning(spec, ending.signal, onChange, onReady, TIMING);
    const until = async (condition: () => boolean) => {
      while (!condition())
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    };
    return { seen, done, stop: () => ending.abort(), until, log: () => readFileSync(join(dir, 'test.log'), 'utf8') };
  }

  it('starts again when it ends, later each time, and says how it ended', async () => {
    const component = start('console.log("here"); process.exit(3)');
    const startedAt = performance.now();
    await component.until(() => component.seen.at(-1)?.restarts === 4);
    // 10 + 20 + 40 + (the fourth wait has only begun)
    expect(performance.now() - startedAt).toBeGreaterThan(70);
    component.stop();
    await component.done;
    expect(component.seen.at(-1)).toMatchObject({ state: 'stopped', lastExit: 'exit code 3' });
    expect(component.log().match(/here/g)!.length).toBeGreaterThanOrEqual(4);
  });

  it('says when it serves, and ends when asked to', async () => {
    let isReady = false;
    const program = 'process.on("SIGTERM", () => process.exit(0)); setInterval(() => {}, 1000); process.send("ready")';
    const { promise, resolve } = Promise.withResolvers<void>();
    const component = start(program, () => {
      isReady = true;
      resolve();
    });
    await promise;
    expect([isReady, component.seen.map(({ state }) => state)]).toEqual([true, ['running']]);
    component.stop();
    await component.done;
    expect(component.seen.at(-1)).toMatchObject({ state: 'stopped', restarts: 0, lastExit: 'exit code 0' });
  });

  it('is killed when it does not end', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const component = start('process.on("SIGTERM", () => {}); process.send("x"); setInterval(() => {}, 1000)', resolve);
    await promise;
    component.stop();
    await component.done;
    expect(component.seen.at(-1)).toMatchObject({ lastExit: 'signal SIGKILL' });
  });

  it('a program that is not there is tried again, not fatal', async () => {
    const seen: ComponentStatus[] = [];
    const ending = new AbortController();
    const spec = { name: 'test', command: [join(dir, 'missing')], logFile: join(dir, 'l'), env: {} };
    const onChange = (status: ComponentStatus) => {
      seen.push(status);
      if (status.restarts === 2) ending.abort();
    };
    await keepRunning(spec, ending.signal, onChange, undefined, TIMING);
    expect(seen.at(-1)!.lastExit).toMatch(/ENOENT/);
  });
});
