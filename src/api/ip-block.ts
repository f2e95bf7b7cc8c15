// SPDX-License-Identifier: Apache-2.0
import { isIP } from 'node:net';

/**
 * An address or a CIDR block as text of bits: `4` or `6` for its family, then as many `0` and `1` as its length says.
 * One block holds another exactly if its bits begin the other's. undefined for what is neither.
 */
export function blockBits(text: string): string | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0 || address.includes('%')) return undefined;
  const all = family === 4 ? octetBits(address) : groupBits(address);
  if (length === undefined) return `${family}${all}`;
  return /^\d{1,3}$/.test(length) && Number(length) <= all.length
    ? `${family}${all.slice(0, Number(length))}`
    : undefined;
}

function octetBits(address: string): string {
  return address
    .split('.')
    .map((octet) => Number(octet).toString(2).padStart(8, '0'))
    .join('');
}

function groupBits(address: string): string {
  const [head = '', tail] = address.split('::');
  const [left, right] = [partBits(head), partBits(tail ?? '')];
  return left + '0'.repeat(128 - left.length - right.length) + right;
}

function partBits(part: string): string {
  if (part === '') return '';
  const groups = part.split(':');
  return groups
    .map((group) => (group.includes('.') ? octetBits(group) : Number.parseInt(group, 16).toString(2).padStart(16, '0')))
    .join('');
}
