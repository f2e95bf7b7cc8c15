// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { familiesOf, isReached } from './ip-families.ts';

test.each([
  [[], 'IPv4'],
  [['10.1.0.5'], 'IPv4'],
  [['fd00::5'], 'IPv6'],
  [['fd00::5', '10.1.0.5'], 'both'],
] as const)('%j: %s', (addresses, families) => {
  expect(familiesOf(addresses)).toBe(families);
});

test.each([
  ['10.1.0.5', ['IPv4', 'both']],
  ['fd00::5', ['IPv6', 'both']],
  ['db.example.com', ['IPv4', 'IPv6', 'both']],
] as const)('%s is reached with %j', (address, able) => {
  expect((['IPv4', 'IPv6', 'both'] as const).filter((families) => isReached(address, families))).toEqual(able);
});
