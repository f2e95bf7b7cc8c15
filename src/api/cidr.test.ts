// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { blockHolds, blocksOverlap, parseCidr } from './cidr.ts';

test.each([
  ['10.1.0.0/16', '10.1.255.255', true],
  ['10.1.0.0/16', '10.2.0.0', false],
  ['10.1.2.3/16', '10.1.9.9', true],
  ['0.0.0.0/0', '255.255.255.255', true],
  ['0.0.0.0/0', '::1', false],
  ['192.0.2.7/32', '192.0.2.7', true],
  ['192.0.2.7/32', '192.0.2.8', false],
  ['fd00::/8', 'fdff:ffff::1', true],
  ['fd00::/8', 'fe00::', false],
  ['2001:db8::/33', '2001:db8:7fff::1', true],
  ['2001:db8::/33', '2001:db8:8000::1', false],
  ['::/0', 'fe80::1%eth0', true],
  ['::ffff:10.0.0.0/104', '::ffff:10.9.9.9', true],
])('%s holds %s: %s', (block, ip, expected) => {
  expect(blockHolds(parseCidr(block)!, ip)).toBe(expected);
});

test.each(['', '10.0.0.0', '10.0.0.0/33', '10.0.0/8', 'fd00::/129', '10.0.0.0/8/8', 'x/8', '10.0.0.0/-1'])(
  '%s is no block',
  (text) => expect(parseCidr(text)).toBeUndefined(),
);

test.each([
  ['10.0.0.0/8', '10.1.0.0/16', true],
  ['10.1.0.0/16', '10.0.0.0/8', true],
  ['10.1.0.0/16', '10.2.0.0/16', false],
  ['0.0.0.0/0', '::/0', false],
])('%s and %s overlap: %s', (a, b, expected) => {
  expect(blocksOverlap(parseCidr(a)!, parseCidr(b)!)).toBe(expected);
});
