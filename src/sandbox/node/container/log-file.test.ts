// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LogFile, rotatedPath } from './log-file.ts';
import { type LogOptions, readLog } from './log-reader.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-log-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

const never = new AbortController().signal;

async function read(path: string, options: LogOptions = {}, live?: LogFile): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of readLog(path, live, options, never)) parts.push(part);
  return Buffer.concat(parts).toString('utf8');
}

async function write(path: string, text: string, maxBytes?: number): Promise<LogFile> {
  const log = new LogFile(path, maxBytes);
  const source = new PassThrough();
  const done = log.consume('stdout', source);
  source.end(text);
  await done;
  return log;
}

describe('a container’s log', () => {
  it('has the format of the Container Runtime Interface', async () => {
    const path = join(dir, 'log');
    await write(path, 'one\ntwo');
    expect(readFileSync(path, 'utf8')).toMatch(/^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F (one|two)\n){2}$/);
  });

  it('splits lines over 16 KiB and reads them whole again', async () => {
    const path = join(dir, 'log');
    const long = 'x'.repeat(40_000);
    await write(path, `${long}\nshort\n`);
    expect(readFileSync(path, 'utf8').match(/ P /g)).toHaveLength(2);
    expect(await read(path)).toBe(`${long}\nshort\n`);
    expect(await read(path, { timestamps: true })).toMatch(/^\S+ x{40000}\n\S+ short\n$/);
  });

  it('turns to a new file and keeps one old one', async () => {
    const path = join(dir, 'log');
    const log = new LogFile(path, 300);
    const source = new PassThrough();
    const done = log.consume('stdout', source);
    for (let i = 0; i < 20; i++) {
      source.write(`line ${i}\n`);
      await once(log, 'change');
    }
    source.end();
    await done;
    expect(existsSync(rotatedPath(path))).toBe(true);
    expect(log.rotations).toBeGreaterThan(1);
    const lines = (await read(path)).trim().split('\n');
    expect(lines.at(-1)).toBe('line 19');
    expect(lines.length).toBeLessThan(20);
  });

  it('is followed across rotations, to the end, with nothing lost or twice', async () => {
    const path = join(dir, 'log');
    const log = new LogFile(path, 300);
    const source = new PassThrough();
    const done = log.consume('stdout', source);
    const followed: string[] = [];
    const following = (async () => {
      for await (const part of readLog(path, log, { follow: true }, never)) followed.push(part.toString().trimEnd());
    })();
    for (let i = 0; i < 50; i++) {
      source.write(`line ${i}\n`);
      // Now and then the reader may catch up: it is allowed to miss what was rotated away twice.
      if (i % 5 === 4) await expect.poll(() => followed.length, { interval: 1 }).toBe(i + 1);
      else await new Promise((resolve) => setTimeout(resolve, i % 3));
    }
    source.end();
    await done;
    await following;
    expect(log.rotations).toBeGreaterThan(3);
    expect(followed).toEqual(Array.from({ length: 50 }, (_, i) => `line ${i}`));
  });

  it('follows from the tail on', async () => {
    const path = join(dir, 'log');
    const log = new LogFile(path);
    const source = new PassThrough();
    const done = log.consume('stdout', source);
    source.write('a\nb\nc\n');
    await once(log, 'change');
    const followed = read(path, { follow: true, tailLines: 1 }, log);
    await new Promise((resolve) => setTimeout(resolve, 30));
    source.end('d\n');
    await done;
    expect(await followed).toBe('c\nd\n');
  });

  it('ends a follow when the reader goes', async () => {
    const path = join(dir, 'log');
    const log = new LogFile(path);
    const source = new PassThrough();
    const done = log.consume('stdout', source);
    source.write('a\n');
    const gone = new AbortController();
    const lines = readLog(path, log, { follow: true }, gone.signal);
    expect((await lines.next()).value?.toString()).toBe('a\n');
    gone.abort();
    expect((await lines.next()).done).toBe(true);
    source.end();
    await done;
  });

  it('keeps streams apart', async () => {
    const path = join(dir, 'log');
    const log = new LogFile(path);
    const [out, err] = [new PassThrough(), new PassThrough()];
    const done = Promise.all([log.consume('stdout', out), log.consume('stderr', err)]);
    out.end('out\n');
    err.end('err\n');
    await done;
    expect(await read(path, { stream: 'stderr' })).toBe('err\n');
    expect((await read(path)).split('\n').sort()).toEqual(['', 'err', 'out']);
  });
});
