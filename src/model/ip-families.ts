// SPDX-License-Identifier: Apache-2.0
// Which IP families a proxy has addresses of, and so which addresses it can dial.
import { isIP } from 'node:net';
import { isSocket } from '../api/workload-entry.ts';

export type IpFamilies = 'IPv4' | 'IPv6' | 'both';

/** Of these addresses; IPv4 where there is none. */
export function familiesOf(addresses: readonly string[]): IpFamilies {
  const found = new Set(addresses.map(isIP));
  if (!found.has(6)) return 'IPv4';
  return found.has(4) ? 'both' : 'IPv6';
}

/** What is no IP address is a name, which may have addresses of any family. */
export function isReached(address: string, families: IpFamilies): boolean {
  if (families === 'both') return true;
  // Asked of every endpoint of every service.
  return families === 'IPv4' ? !address.includes(':') || isSocket(address) : isIP(address) !== 4;
}
