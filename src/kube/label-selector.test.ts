// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { matchesSelector } from './label-selector.ts';

const labels = { app: 'web', tier: 'front' };
const requirement = (operator: string, key: string, ...values: string[]) => ({
  matchExpressions: [{ key, operator, values }],
});

test.each([
  ['nothing at all', undefined, false],
  ['an empty selector', {}, true],
  ['every pair', { matchLabels: { app: 'web' } }, true],
  ['one pair wrong', { matchLabels: { app: 'web', tier: 'back' } }, false],
  ['In', requirement('In', 'app', 'api', 'web'), true],
  ['In, absent key', requirement('In', 'zone', 'a'), false],
  ['NotIn', requirement('NotIn', 'app', 'web'), false],
  ['NotIn, absent key', requirement('NotIn', 'zone', 'a'), true],
  ['Exists', requirement('Exists', 'tier'), true],
  ['DoesNotExist', requirement('DoesNotExist', 'tier'), false],
  ['an unknown operator', requirement('Near', 'tier'), false],
  ['labels and expressions together', { matchLabels: { app: 'web' }, ...requirement('DoesNotExist', 'tier') }, false],
])('%s', (_case, selector, matches) => {
  expect(matchesSelector(selector, labels)).toBe(matches);
});
