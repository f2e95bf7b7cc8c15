// SPDX-License-Identifier: Apache-2.0
import { networkInterfaces } from 'node:os';

type Interfaces = ReturnType<typeof networkInterfaces>;

/** Of the addresses that others can dial this machine at, or one with these interfaces. */
export function ownFamilies(interfaces: Interfaces = networkInterfaces()): 'IPv4' | 'IPv6' | 'both' {
  const addresses = Object.values(interfaces).flatMap((each) => each ?? []);
  const outer = addresses.filter(({ internal, address }) => !internal && !isLinkLocal(address));
  if (!outer.some(({ family }) => family === 'IPv6')) return 'IPv4';
  return outer.some(({ family }) => family === 'IPv4') ? 'both' : 'IPv6';
}

/** fe80::/10 */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}

/** What to listen at to be reached at all addresses. `::` takes IPv4, too, and cannot be had where there is no IPv6. */
export function everyAddress(interfaces?: Interfaces): '0.0.0.0' | '::' {
  return ownFamilies(interfaces) === 'IPv4' ? '0.0.0.0' : '::';
}
