// SPDX-License-Identifier: Apache-2.0
// Shares that rules give, as tests count them.
import { expect } from 'vitest';
import { binomialBounds } from '../../src/cli/demo/chance.ts';

/** So many of the draws as chance allows: a right share is outside of the bounds less than once in a million. */
export function expectShare(hits: number, { draws, share }: { draws: number; share: number }): void {
  const { low, high } = binomialBounds(draws, share);
  expect(hits).toBeGreaterThanOrEqual(low);
  expect(hits).toBeLessThanOrEqual(high);
}
