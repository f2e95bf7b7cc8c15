// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { binomialBounds } from './chance.ts';

test('a share of nothing or of everything leaves no room', () => {
  expect(binomialBounds(50, 0)).toEqual({ low: 0, high: 0 });
  expect(binomialBounds(50, 1)).toEqual({ low: 50, high: 50 });
});

test('the bounds are the exact ones of the binomial distribution', () => {
  // 10 trials, one half: P(X = 0) = 1/1024. With 0.002 in all, 0.001 a side, k = 0 may be excluded but not k <= 1.
  expect(binomialBounds(10, 0.5, 0.002)).toEqual({ low: 1, high: 9 });
  expect(binomialBounds(10, 0.5, 0.0019)).toEqual({ low: 0, high: 10 });
});

test('200 trials of one half stray less than five standard deviations', () => {
  const { low, high } = binomialBounds(200, 0.5);
  expect(low).toBe(200 - high);
  expect(low).toBeGreaterThanOrEqual(64);
  expect(low).toBeLessThanOrEqual(67);
});
