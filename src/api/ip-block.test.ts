// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { blockBits } from './ip-block.ts';

const holds = (block: string, other: string) => blockBits(other)!.startsWith(blockBits(block)!);

test('a block holds what lies in it, of its own family', () => {
  expect(blockBits('128.1.0.0/16')).toBe(`4${'1000000000000001'}`);
  expect(holds('240.0.0.0/4', '255.255.255.255')).toBe(true);
  expect(holds('127.255.0.0/16', '127.255.0.2')).toBe(true);
  expect(holds('127.255.0.0/16', '127.254.0.2')).toBe(false);
  expect(holds('10.0.0.7', '10.0.0.7/32')).toBe(true);
  expect(holds('0.0.0.0/0', '::1')).toBe(false);
});

test('IPv6 in each of its ways to be written', () => {
  expect(blockBits('2001:db8::1')).toBe(blockBits('2001:0db8:0:0:0:0:0:1'));
  expect(blockBits('::ffff:10.0.0.1')).toBe(blockBits('::ffff:a00:1'));
  expect(holds('fd00::/8', 'fdff::7')).toBe(true);
  expect(blockBits('::')).toHaveLength(129);
});

test.each(['', '10.0.0', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '::1/129', 'fe80::1%eth0', 'a.example'])(
  '%j is no block',
  (text) => expect(blockBits(text)).toBeUndefined(),
);
