// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { COLLECTOR_FLAGS } from './collector.ts';

test('this Node knows the flags: at run time it would say nothing of one that it does not', () => {
  const run = (...flags: string[]) => spawnSync(process.execPath, [...flags, '-e', '0']).status;
  expect(run(...COLLECTOR_FLAGS)).toBe(0);
  expect(run('--no-such-flag')).not.toBe(0);
});
