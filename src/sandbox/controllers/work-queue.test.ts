// SPDX-License-Identifier: Apache-2.0
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WorkQueue } from './work-queue.ts';

function queueOf(concurrency = 4) {
  const errors: string[] = [];
  const queue = new WorkQueue({
    concurrency,
    backoffMs: { first: 5, cap: 20 },
    onError: (key, error, attempts) => void errors.push(`${key} ${error.message} ${attempts}`),
  });
  return { queue, errors };
}

test('a key is never worked on twice at once, and an event during the work is not lost', async () => {
  const { queue } = queueOf();
  const stopping = new AbortController();
  let active = 0;
  let most = 0;
  let runs = 0;
  queue.start(async () => {
    most = Math.max(most, ++active);
    runs++;
    if (runs === 1) for (let i = 0; i < 5; i++) queue.add('a');
    await sleep(5);
    active--;
    return undefined;
  }, stopping.signal);
  queue.add('a');
  await queue.idle();
  expect({ most, runs }).toEqual({ most: 1, runs: 2 });
  stopping.abort();
});

test('different keys run side by side, no more than allowed', async () => {
  const { queue } = queueOf(3);
  const stopping = new AbortController();
  let active = 0;
  let most = 0;
  for (let i = 0; i < 10; i++) queue.add(`key${i}`);
  queue.start(async () => {
    most = Math.max(most, ++active);
    await sleep(3);
    active--;
    return undefined;
  }, stopping.signal);
  await queue.idle();
  expect(most).toBe(3);
  stopping.abort();
});

test('a failed key comes back, later each time, until it works', async () => {
  const { queue, errors } = queueOf();
  const stopping = new AbortController();
  const times: number[] = [];
  const done = Promise.withResolvers<void>();
  queue.start(async () => {
    times.push(performance.now());
    if (times.length < 4) throw new Error('no');
    done.resolve();
    return undefined;
  }, stopping.signal);
  queue.add('a');
  await done.promise;
  expect(errors).toEqual(['a no 1', 'a no 2', 'a no 3']);
  expect((times[3] ?? 0) - (times[2] ?? 0)).toBeGreaterThan(15);
  stopping.abort();
});

test('a wish to look again is kept, the earliest counts; after the abort nothing runs', async () => {
  const { queue } = queueOf();
  const stopping = new AbortController();
  let runs = 0;
  queue.start(async () => {
    runs++;
    return runs === 1 ? { afterMs: 5 } : undefined;
  }, stopping.signal);
  queue.addAfter('a', 10_000);
  queue.addAfter('a', 5);
  // Before the ten seconds.
  await expect.poll(() => runs).toBe(2);
  queue.addAfter('a', 10);
  stopping.abort();
  queue.add('b');
  await sleep(30);
  expect(runs).toBe(2);
});
