// SPDX-License-Identifier: Apache-2.0
// IP addresses and CIDR blocks as numbers, to be compared.
import { isIP } from 'node:net';

export interface CidrBlock {
  readonly family: 4 | 6;
  readonly base: bigint;
  readonly prefix: number;
}

/** `10.1.0.0/16`, `fd00::/8`; undefined for anything else. Bits behind the prefix do not count. */
export function parseCidr(text: string): CidrBlock | undefined {
  const [, ip, bits] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? [];
  const family = isIP(ip ?? '');
  if (ip === undefined || (family !== 4 && family !== 6)) return undefined;
  const prefix = Number(bits);
  const width = widthOf(family);
  if (prefix > width) return undefined;
  const base = numberOf(ip) & ~((1n << BigInt(width - prefix)) - 1n);
  return { family, base, prefix };
}

export function blockHolds(block: CidrBlock, ip: string): boolean {
  if (isIP(ip) !== block.family) return false;
  const rest = BigInt(widthOf(block.family) - block.prefix);
  return numberOf(ip) >> rest === block.base >> rest;
}

export function blocksOverlap(a: CidrBlock, b: CidrBlock): boolean {
  if (a.family !== b.family) return false;
  const rest = BigInt(widthOf(a.family) - Math.min(a.prefix, b.prefix));
  return a.base >> rest === b.base >> rest;
}

function widthOf(family: 4 | 6): number {
  return family === 4 ? 32 : 128;
}

function numberOf(ip: string): bigint {
  if (isIP(ip) === 4) return ip.split('.').reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  const plain = ip.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.map(Number) as [number, number, number, number];
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const groups = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':'));
  const [left, right] = [groups(head), groups(tail)];
  const middle = Array<string>(Math.max(0, 8 - left.length - right.length)).fill('0');
  return [...left, ...middle, ...right].reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}
