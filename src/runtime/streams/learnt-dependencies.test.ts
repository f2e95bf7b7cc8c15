// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { LearntDependencies } from './learnt-dependencies.ts';

test('what was asked for last is kept, of each workload by itself', () => {
  const learnt = new LearntDependencies({ workloads: 2, names: 2 });
  learnt.note('shop', 'cluster', ['a', 'b']);
  learnt.note('shop', 'cluster', ['a']);
  learnt.note('shop', 'cluster', ['c']);
  learnt.note('shop', 'host', ['h']);
  expect([...learnt.of('shop')]).toEqual([
    ['cluster', ['a', 'c']],
    ['host', ['h']],
  ]);
  learnt.note('cart', 'cluster', ['d']);
  learnt.note('shop', 'cluster', []);
  learnt.note('mail', 'cluster', ['e']);
  expect(learnt.of('cart').size).toBe(0);
  expect(learnt.of('shop').get('cluster')).toEqual(['a', 'c']);
});
