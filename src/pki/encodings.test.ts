// SPDX-License-Identifier: Apache-2.0

import { BlockList, isIPv6 } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import {
  decodeNodes,
  encodeNamedBits,
  encodeObjectIdentifier,
  encodeSequence,
  encodeTime,
  encodeUnsigned,
} from './der.ts';
import { encodeIpAddress } from './ip-address.ts';

const hex = (bytes: Buffer) => bytes.toString('hex');

describe('DER', () => {
  it('encodes the examples of X.690 and RFC 5280', () => {
    expect(hex(encodeObjectIdentifier('1.2.840.113549.1.1.11'))).toBe('06092a864886f70d01010b');
    expect(hex(encodeObjectIdentifier('2.999.3'))).toBe('0603883703');
    expect(hex(encodeUnsigned(Buffer.from([0])))).toBe('020100');
    expect(hex(encodeUnsigned(Buffer.from([0, 0, 0x80])))).toBe('02020080');
    expect(hex(encodeNamedBits([0]))).toBe('03020780');
    expect(hex(encodeNamedBits([5, 6]))).toBe('03020106');
    expect(encodeTime(new Date('2049-12-31T23:59:59.9Z')).toString('latin1').slice(2)).toBe('491231235959Z');
    expect(encodeTime(new Date('2050-01-01T00:00:00Z')).toString('latin1').slice(2)).toBe('20500101000000Z');
  });

  it('reads back what it wrote, at every length', () => {
    for (const length of [0, 1, 127, 128, 255, 256, 65_535, 65_536]) {
      const [node, ...rest] = decodeNodes(encodeSequence(Buffer.alloc(length, 7)));
      expect([node?.contents.length, rest.length]).toEqual([length, 0]);
    }
  });

  it('throws an Error on garbage, and ends', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        try {
          const nodes = decodeNodes(Buffer.from(bytes));
          expect(nodes.reduce((sum, node) => sum + node.raw.length, 0)).toBe(bytes.length);
        } catch (error) {
          expect(String(error)).toMatch(/DER:/);
        }
      }),
      { seed: 1, numRuns: rounds(1000) },
    );
  });
});

describe('encodeIpAddress', () => {
  it('agrees with what node:net thinks the address is', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (address) => {
        const bytes = encodeIpAddress(address);
        const family = isIPv6(address) ? 'ipv6' : 'ipv4';
        const groups = hex(bytes).match(/.{4}/g)?.join(':') ?? '';
        const same = new BlockList();
        same.addAddress(address, family);
        expect(same.check(family === 'ipv6' ? groups : [...bytes].join('.'), family)).toBe(true);
      }),
      { seed: 2, numRuns: rounds(500) },
    );
  });

  it('refuses what is no address', () => {
    for (const bad of ['', '10.0.0', '10.0.0.256', '::1%eth0', 'localhost', '1:2:3:4:5:6:7:8:9']) {
      expect(() => encodeIpAddress(bad)).toThrow(/no IP address/);
    }
  });
});
