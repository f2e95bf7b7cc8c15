// SPDX-License-Identifier: Apache-2.0
import { isIPv4, isIPv6 } from 'node:net';

/** 4 or 16 octets in network order. Throws on what is no IP address, or has a zone. */
export function encodeIpAddress(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  if (!isIPv6(address) || address.includes('%')) throw new Error(`"${address}" is no IP address.`);
  const [head = '', tail] = ipv4TailAsGroups(address).split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail ?? '');
  const groups = [...left, ...new Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function groupsOf(part: string): number[] {
  return part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
}

/** `::ffff:10.0.0.1` -> `::ffff:a00:1`. */
function ipv4TailAsGroups(address: string): string {
  const at = address.lastIndexOf(':') + 1;
  const tail = address.slice(at);
  if (!isIPv4(tail)) return address;
  const octets = Buffer.from(tail.split('.').map(Number));
  return `${address.slice(0, at)}${octets.readUInt16BE(0).toString(16)}:${octets.readUInt16BE(2).toString(16)}`;
}
