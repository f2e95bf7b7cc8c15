// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { pacedAdd } from './controller.ts';
import { WorkQueue } from './work-queue.ts';

beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
afterEach(() => vi.useRealTimers());

test('a burst is two writes, and a change soon after it waits no longer than one interval', async () => {
  const stopping = new AbortController();
  const queue = new WorkQueue({ concurrency: 1, onError: () => {} });
  const workedAtMs: number[] = [];
  const startMs = performance.now();
  queue.start(async () => {
    workedAtMs.push(performance.now() - startMs);
    return undefined;
  }, stopping.signal);
  const add = pacedAdd(queue, 100);
  for (let i = 0; i < 20; i++) {
    add('service');
    await vi.advanceTimersByTimeAsync(1);
  }
  await vi.advanceTimersByTimeAsync(100);
  expect(workedAtMs).toEqual([0, 100]);
  add('service');
  await vi.advanceTimersByTimeAsync(1_000);
  expect(workedAtMs).toEqual([0, 100, 200]);
  add('service');
  await vi.advanceTimersByTimeAsync(0);
  expect(workedAtMs).toHaveLength(4);
  stopping.abort();
});
