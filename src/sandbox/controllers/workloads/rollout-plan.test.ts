// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { type Bounds, planRollingStep, planScale, resolveBounds, type Share } from './rollout-plan.ts';

function share(name: string, replicas: number, available = replicas, createdAt = 0): Share {
  return { name, replicas, available, createdAt, maxWhenSet: 0 };
}

test.each([
  [10, '25%', '25%', { desired: 10, surge: 3, unavailable: 2 }],
  [2, undefined, undefined, { desired: 2, surge: 1, unavailable: 0 }],
  [10, '30%', 0, { desired: 10, surge: 3, unavailable: 0 }],
  [4, 0, 0, { desired: 4, surge: 0, unavailable: 1 }],
  [0, 1, 1, { desired: 0, surge: 1, unavailable: 0 }],
])('bounds of %i replicas, surge %s, unavailable %s', (desired, surge, unavailable, bounds) => {
  expect(resolveBounds(desired, surge, unavailable)).toEqual(bounds);
});

test('a rollout of two grows by one, waits for it, shrinks by one, and so on', () => {
  const bounds = resolveBounds(2, '25%', '25%');
  expect(planRollingStep(bounds, share('new', 0), [share('old', 2)])).toEqual(new Map([['new', 1]]));
  expect(planRollingStep(bounds, share('new', 1, 0), [share('old', 2)])).toEqual(new Map());
  expect(planRollingStep(bounds, share('new', 1), [share('old', 2)])).toEqual(new Map([['old', 1]]));
});

test('broken old pods go first, oldest ReplicaSet first', () => {
  const bounds: Bounds = { desired: 3, surge: 1, unavailable: 1 };
  const old = [share('newer', 1, 1, 2), share('older', 2, 0, 1)];
  expect(planRollingStep(bounds, share('new', 1, 1), old)).toEqual(new Map([['older', 0]]));
});

const rollouts = fc.record({
  desired: fc.integer({ min: 0, max: 12 }),
  surge: fc.integer({ min: 0, max: 4 }),
  unavailable: fc.integer({ min: 0, max: 4 }),
  old: fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 3 }),
  // Which pods become ready between two steps.
  readiness: fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
});

test('every rollout ends, and never leaves its bounds on the way', () => {
  fc.assert(
    fc.property(rollouts, ({ desired, surge, unavailable, old, readiness }) => {
      const bounds = resolveBounds(desired, surge, unavailable);
      let fresh = share('new', 0);
      let olds = old.map((replicas, index) => share(`old${index}`, replicas, replicas, index));
      const countOf = (shares: Share[], field: 'replicas' | 'available') =>
        shares.reduce((sum, each) => sum + each[field], 0);
      const startedAt = { total: countOf(olds, 'replicas'), available: countOf(olds, 'available') };
      for (let step = 0; step < 200; step++) {
        const sizes = planRollingStep(bounds, fresh, olds);
        const resize = (each: Share): Share => {
          const replicas = sizes.get(each.name) ?? each.replicas;
          return { ...each, replicas, available: Math.min(each.available, replicas) };
        };
        fresh = resize(fresh);
        olds = olds.map(resize);
        const total = fresh.replicas + countOf(olds, 'replicas');
        const available = fresh.available + countOf(olds, 'available');
        expect(total).toBeLessThanOrEqual(Math.max(bounds.desired + bounds.surge, startedAt.total));
        expect(available).toBeGreaterThanOrEqual(Math.min(bounds.desired - bounds.unavailable, startedAt.available));
        if (fresh.available < fresh.replicas && (readiness.next().value ?? 1) < 0.7)
          fresh = { ...fresh, available: fresh.available + 1 };
        if (fresh.replicas === bounds.desired && fresh.available === bounds.desired && countOf(olds, 'replicas') === 0)
          return;
      }
      throw new Error(`not done: ${JSON.stringify({ fresh, olds })}`);
    }),
    { seed: 11, numRuns: rounds(500) },
  );
});

test('scaling: one active ReplicaSet gets it all, also from zero', () => {
  const bounds = resolveBounds(5, '25%', '25%');
  expect(planScale(bounds, share('new', 2), [share('old', 0)], true)).toEqual(new Map([['new', 5]]));
  expect(planScale(bounds, share('new', 0), [share('old', 0)], true)).toEqual(new Map([['new', 5]]));
  expect(planScale(bounds, share('new', 5), [share('old', 2)], true)).toEqual(new Map([['old', 0]]));
});

test('scaling in the middle of a rollout keeps the proportions', () => {
  // The example of the Kubernetes documentation: 10 replicas, surge 3, unavailable 2, at 8 old and 5 new; scaled to 15.
  const bounds = resolveBounds(15, 3, 2);
  const sizes = planScale(
    bounds,
    { ...share('new', 5, 0, 2), maxWhenSet: 13 },
    [{ ...share('old', 8, 8, 1), maxWhenSet: 13 }],
    true,
  );
  expect(sizes).toEqual(
    new Map([
      ['old', 11],
      ['new', 7],
    ]),
  );
});
