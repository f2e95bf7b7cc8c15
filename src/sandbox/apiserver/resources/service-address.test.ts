// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { parseCidr, pickAddress } from './service-address.ts';

test('a range holds its hosts, not its ends', () => {
  const range = parseCidr('10.96.0.0/16');
  expect(['10.96.0.1', '10.96.255.254'].every(range.contains)).toBe(true);
  expect(['10.96.0.0', '10.96.255.255', '10.97.0.1', 'x', '10.96.0'].some(range.contains)).toBe(false);
});

test.each(['10.96.0.0', '10.96.0.0/40', 'fd00::/64', '10.96.0.0/4'])('%s is no service range', (cidr) => {
  expect(() => parseCidr(cidr)).toThrow(/give an IPv4 range/);
});

test('the low addresses are left to those who ask for them, until nothing else is free', () => {
  const range = parseCidr('10.0.0.0/26');
  const taken = new Set<string>();
  const given: number[] = [];
  for (;;) {
    const address = pickAddress(range, taken, () => 0.3);
    if (!address) break;
    expect(taken.has(address)).toBe(false);
    taken.add(address);
    given.push(Number(address.split('.')[3]));
  }
  expect(given).toHaveLength(62);
  expect(Math.min(...given.slice(0, 46))).toBeGreaterThan(16);
  expect(given.slice(46).sort((a, b) => a - b)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
});
