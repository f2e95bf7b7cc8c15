// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { buildNamespace } from './probe-objects.ts';
import { isOver } from './stage.ts';

const NOW_MS = Date.parse('2026-11-22T12:00:00Z');
const run = (owner: string, aliveMs = NOW_MS) => buildNamespace({ namespace: 'x', owner }, aliveMs);
const alive = (pid: number): boolean => pid === 7;

test.each<[string, ReturnType<typeof run>, boolean]>([
  ['a run of this machine whose process is there', run('here/7'), false],
  ['one whose process is gone, at once', run('here/8'), true],
  ['a run of another machine that was heard of', run('there/8', NOW_MS - 20_000), false],
  ['one that has been silent', run('there/8', NOW_MS - 40_000), true],
  ['a process that another has the number of by now', run('here/7', NOW_MS - 40_000), true],
])('%s', (_, namespace, expected) => {
  expect(isOver(namespace, NOW_MS, 'here', alive)).toBe(expected);
});

test('a namespace that says nothing of its owner is nobody’s', () => {
  const namespace = run('here/7');
  delete namespace.metadata.annotations;
  expect(isOver(namespace, NOW_MS, 'here', alive)).toBe(true);
});
