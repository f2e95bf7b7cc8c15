// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { PerAddressLimit } from './per-address-limit.ts';

test('an address has its burst, then so many a second, and takes nothing from others', () => {
  let nowMs = 0;
  const limit = new PerAddressLimit({ burst: 3, perSecond: 2 }, () => nowMs);
  const taken = (address: string) => Array.from({ length: 10 }, () => limit.take(address)).filter(Boolean).length;
  expect(taken('a')).toBe(3);
  expect(taken('b')).toBe(3);
  nowMs = 400;
  expect(taken('a')).toBe(0);
  nowMs = 1_000;
  expect(taken('a')).toBe(2);
  nowMs = 1_000_000;
  expect(taken('a')).toBe(3);
});
