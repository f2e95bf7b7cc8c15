// SPDX-License-Identifier: Apache-2.0
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { shorten } from './component-log.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-logs-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('a long log is put aside while its writer goes on', () => {
  const file = join(dir, 'a.log');
  const writer = openSync(file, 'a');
  writeSync(writer, 'first\n');
  shorten(file, 6);
  expect(readFileSync(file, 'utf8')).toBe('first\n');
  writeSync(writer, 'second\n');
  shorten(file, 6);
  writeSync(writer, 'third\n');
  closeSync(writer);
  expect([readFileSync(file, 'utf8'), readFileSync(`${file}.1`, 'utf8')]).toEqual(['third\n', 'first\nsecond\n']);
  shorten(join(dir, 'none.log'), 0);
});
