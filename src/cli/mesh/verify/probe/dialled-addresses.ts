// SPDX-License-Identifier: Apache-2.0
import { lookup } from 'node:dns/promises';
import { ownFamilies } from '../../../../process/own-addresses.ts';

const ASKED = { IPv4: 4, IPv6: 6, both: 0 } as const;

/**
 * Of the families that this pod has, in the order in which its resolver would have them tried (RFC 6724).
 * @throws as `lookup` does, where the name has none of them
 */
export async function dialledAddresses(host: string): Promise<string[]> {
  const found = await lookup(host, { all: true, family: ASKED[ownFamilies()] });
  return found.map(({ address }) => address);
}
