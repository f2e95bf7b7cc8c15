// SPDX-License-Identifier: Apache-2.0
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { DirectoryWatch } from './directory-watch.ts';

const NEVER = new AbortController().signal;
let dir: string;
let watcher: DirectoryWatch;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-watch-'));
  mkdirSync(join(dir, 'sub'));
  watcher = new DirectoryWatch(dir);
  watcher.follow(['', 'sub']);
});

afterEach(() => {
  watcher.close();
  rmSync(dir, { recursive: true, force: true });
});

test('a file that is written beside another and takes its place is that one, and nothing else has changed', async () => {
  const file = join(dir, 'sub', 'a.yaml');
  writeFileSync(`${file}.new`, 'kind: Service');
  renameSync(`${file}.new`, file);
  writeFileSync(join(dir, 'sub', '.a.yaml.swp'), '');
  expect(await watcher.next(60_000, NEVER)).toEqual(new Set(['sub/a.yaml']));
});

test.each([
  ['comes', () => mkdirSync(join(dir, 'another'))],
  ['goes', () => rmSync(join(dir, 'sub'), { recursive: true })],
  ['is replaced', () => renameSync(join(dir, 'sub'), join(dir, 'gone'))],
])('a directory that %s is a reason to look at everything', async (_, act) => {
  act();
  expect(await watcher.next(60_000, NEVER)).toBe('anything');
});

test('without a change everything is looked at in the end, and waiting ends with its signal', async () => {
  expect(await watcher.next(1, NEVER)).toBe('anything');
  const stop = new AbortController();
  const waiting = watcher.next(60_000, stop.signal);
  stop.abort();
  expect(await waiting).toEqual(new Set());
});
