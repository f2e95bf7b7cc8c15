// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { once, type Steps } from '../incremental/steps.ts';
import { Turns } from './turns.ts';

/** Turns whose clock goes on by a millisecond with every step; what was done, and where others had their turn (`-`). */
function start() {
  let nowMs = 0;
  const turns = new Turns(() => nowMs);
  const done: string[] = [];
  function* work(name: string, steps: number): Steps<void> {
    for (let i = 0; i < steps; i++) {
      nowMs++;
      done.push(name);
      yield;
    }
  }
  const rest = async (): Promise<void> => {
    for (let length = -1; length < done.length; ) {
      length = done.length;
      done.push('-');
      await nextTurn();
      if (done.at(-1) === '-') done.pop();
    }
  };
  return { turns, done, work, rest };
}

test('a little is done at once', () => {
  const { turns, done, work } = start();
  turns.add(work('a', 100));
  expect(done).toHaveLength(100);
});

test('much is done in turns, in order, and what comes meanwhile waits', async () => {
  const { turns, done, work, rest } = start();
  turns.add(work('a', 1000));
  turns.add(work('b', 3));
  expect(done).toHaveLength(200);
  await rest();
  expect(done.filter((name) => name !== '-')).toEqual([...Array(1000).fill('a'), ...Array(3).fill('b')]);
  const [first, ...others] = done
    .join('')
    .split('-')
    .map(({ length }) => length);
  expect(first).toBe(200);
  expect(others.length).toBeGreaterThanOrEqual(80);
  expect(Math.max(...others)).toBeLessThanOrEqual(10);
});

test('many steps that take no time are done at a stretch', () => {
  const turns = new Turns(() => 0);
  let count = 0;
  turns.add(
    (function* () {
      for (; count < 100_000; count++) yield;
    })(),
  );
  expect(count).toBe(100_000);
});

test('what is added by work that is being done comes after it', () => {
  const { turns, done } = start();
  turns.add(
    once(() => {
      turns.add(once(() => done.push('inner')));
      done.push('outer');
    }),
  );
  expect(done).toEqual(['outer', 'inner']);
});

test('work that fails tells who added it, and is the end of itself alone', () => {
  const { turns, done } = start();
  expect(() =>
    turns.add(
      once(() => {
        throw new Error('bad');
      }),
    ),
  ).toThrow('bad');
  turns.add(once(() => done.push('next')));
  expect(done).toEqual(['next']);
});
