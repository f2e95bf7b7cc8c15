// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Admission, Admissions } from './admissions.ts';

const never = new Promise<void>(() => {});

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** `count` streams come one after the other; `order` gets each when it is let in. */
function come(admissions: Admissions, count: number, order: { number: number; admission: Admission }[]): void {
  for (let number = 0; number < count; number++) {
    void admissions.enter(never).then((admission) => {
      if (admission !== undefined) order.push({ number, admission });
    });
  }
}

test('ten thousand streams are let in in the order in which they came, so many at once, and none is left out', async () => {
  const admissions = new Admissions({ atOnce: 100, quietMs: 500, holdMs: 2000 });
  const order: { number: number; admission: Admission }[] = [];
  come(admissions, 10_000, order);
  await vi.advanceTimersByTimeAsync(0);
  expect(order).toHaveLength(100);
  expect(admissions.waiting).toBe(9_900);
  for (let done = 0; done < 10_000; done++) {
    order[done]!.admission.release();
    order[done]!.admission.release();
    await Promise.resolve();
    await Promise.resolve();
    expect(order).toHaveLength(Math.min(10_000, 101 + done));
  }
  expect(order.map(({ number }) => number)).toEqual(Array.from({ length: 10_000 }, (_, i) => i));
});

test('a stream that is quiet makes room, one that goes on does so in the end, and a new one then need not wait', async () => {
  const admissions = new Admissions({ atOnce: 1, quietMs: 500, holdMs: 2000 });
  const order: { number: number; admission: Admission }[] = [];
  come(admissions, 3, order);
  await vi.advanceTimersByTimeAsync(499);
  expect(order).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(1);
  expect(order).toHaveLength(2);
  for (let round = 0; round < 19; round++) {
    order[1]!.admission.heard();
    await vi.advanceTimersByTimeAsync(100);
    expect(order).toHaveLength(2);
  }
  await vi.advanceTimersByTimeAsync(100);
  expect(order).toHaveLength(3);
  await vi.advanceTimersByTimeAsync(500);
  come(admissions, 1, order);
  await vi.advanceTimersByTimeAsync(0);
  expect(order).toHaveLength(4);
});

test('who goes away while waiting is passed over', async () => {
  const admissions = new Admissions({ atOnce: 1, quietMs: 500, holdMs: 2000 });
  const gone = Promise.withResolvers<void>();
  const first = await admissions.enter(never);
  const second = admissions.enter(gone.promise);
  const third = admissions.enter(never);
  gone.resolve();
  expect(await second).toBeUndefined();
  expect(admissions.waiting).toBe(1);
  first!.release();
  expect(await third).toBeDefined();
});
