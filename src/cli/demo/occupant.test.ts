// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { occupy, readOccupant, vacate } from './occupant.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-occupant-'));
  vi.stubEnv('ISTHMUS_STATE_DIR', dir);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true, force: true });
});

test('who occupies a sandbox is known until it leaves', () => {
  expect(readOccupant('demo')).toBeUndefined();
  occupy('demo', '004');
  expect(readOccupant('demo')).toMatchObject({ number: '004', process: { pid: process.pid }, isDead: false });
  expect(readOccupant('other')).toBeUndefined();
  vacate('demo');
  expect(readOccupant('demo')).toBeUndefined();
});

test('who was killed is dead, even where another process has its number', () => {
  occupy('demo', '001');
  const file = join(dir, 'demo/demo.json');
  const { process: identity } = readOccupant('demo')!;
  writeFileSync(file, JSON.stringify({ number: '001', process: { ...identity, startTicks: '1' } }));
  expect(readOccupant('demo')).toMatchObject({ isDead: true });
  writeFileSync(file, '{"number":');
  expect(readOccupant('demo')).toBeUndefined();
});
