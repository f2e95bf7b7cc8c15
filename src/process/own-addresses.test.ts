// SPDX-License-Identifier: Apache-2.0
import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import { everyAddress, ownFamilies } from './own-addresses.ts';

function at(address: string, internal = false): NetworkInterfaceInfo {
  const more = { netmask: '', mac: '', internal, cidr: null };
  return address.includes(':')
    ? { family: 'IPv6', address, scopeid: 0, ...more }
    : { family: 'IPv4', address, ...more };
}

const LOOPBACK = [at('127.0.0.1', true), at('::1', true), at('::6', true)];

test.each([
  ['IPv4', ['10.1.0.5']],
  ['IPv4', ['10.1.0.5', 'fe80::1', 'FEBF::1']],
  ['IPv6', ['fd00::5', 'fe80::1']],
  ['both', ['10.1.0.5', 'fd00::5']],
] as const)('%s: %j', (families, addresses) => {
  const interfaces = { lo: LOOPBACK, eth0: addresses.map((address) => at(address)) };
  expect(ownFamilies(interfaces)).toBe(families);
  expect(everyAddress(interfaces)).toBe(families === 'IPv4' ? '0.0.0.0' : '::');
});
