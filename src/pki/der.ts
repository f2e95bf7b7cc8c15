// SPDX-License-Identifier: Apache-2.0
// The part of DER (ITU-T X.690) that X.509 certificates need: definite lengths, one-byte tags.

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Tag, definite length, contents. `parts` are already encoded values or raw contents, concatenated. */
export function encodeTlv(tag: number, ...parts: Uint8Array[]): Buffer {
  const contents = Buffer.concat(parts);
  return Buffer.concat([encodeHeader(tag, contents.length), contents]);
}

function encodeHeader(tag: number, length: number): Buffer {
  if (length < 0x80) return Buffer.from([tag, length]);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Buffer.from([tag, 0x80 | octets.length, ...octets]);
}

export function encodeSequence(...parts: Uint8Array[]): Buffer {
  return encodeTlv(TAG.sequence, ...parts);
}

/** A non-negative INTEGER from its big-endian magnitude. */
export function encodeUnsigned(magnitude: Uint8Array): Buffer {
  let start = 0;
  while (start < magnitude.length - 1 && magnitude[start] === 0) start++;
  const trimmed = magnitude.subarray(start);
  const padded = ((trimmed[0] ?? 0) & 0x80) !== 0 ? [Buffer.from([0]), trimmed] : [trimmed];
  return encodeTlv(TAG.integer, ...padded);
}

export function encodeBoolean(value: boolean): Buffer {
  return encodeTlv(TAG.boolean, Buffer.from([value ? 0xff : 0x00]));
}

/** Dotted decimal, e.g. `2.5.29.17`. */
export function encodeObjectIdentifier(dotted: string): Buffer {
  const arcs = dotted.split('.').map(Number);
  const [first = 0, second = 0, ...rest] = arcs;
  const octets: number[] = [];
  for (const arc of [first * 40 + second, ...rest]) {
    const base128 = [arc & 0x7f];
    for (let high = Math.floor(arc / 128); high > 0; high = Math.floor(high / 128))
      base128.unshift((high & 0x7f) | 0x80);
    octets.push(...base128);
  }
  return encodeTlv(TAG.objectIdentifier, Buffer.from(octets));
}

/** A BIT STRING of whole octets. */
export function encodeBitString(octets: Uint8Array): Buffer {
  return encodeTlv(TAG.bitString, Buffer.from([0]), octets);
}

/** A BIT STRING of named bits, without trailing zero bits as DER demands; bit 0 is the leftmost. */
export function encodeNamedBits(bits: readonly number[]): Buffer {
  const highest = Math.max(...bits);
  const octets = Buffer.alloc(Math.floor(highest / 8) + 1);
  for (const bit of bits) {
    const index = Math.floor(bit / 8);
    octets[index] = (octets[index] ?? 0) | (0x80 >> (bit % 8));
  }
  return encodeTlv(TAG.bitString, Buffer.from([7 - (highest % 8)]), octets);
}

/** RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime from 2050; whole seconds (fractions are cut off). */
export function encodeTime(date: Date): Buffer {
  const digits = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replaceAll(/[-:T]/g, '');
  const year = date.getUTCFullYear();
  return year < 2050
    ? encodeTlv(TAG.utcTime, Buffer.from(digits.slice(2)))
    : encodeTlv(TAG.generalizedTime, Buffer.from(digits));
}

export interface DerNode {
  readonly tag: number;
  /** The whole encoding, header included. */
  readonly raw: Buffer;
  readonly contents: Buffer;
}

/** The values that follow one another in `bytes`. Throws on a truncated or indefinite encoding. */
export function decodeNodes(bytes: Buffer): DerNode[] {
  const nodes: DerNode[] = [];
  for (let at = 0; at < bytes.length; ) {
    const node = decodeNode(bytes.subarray(at));
    nodes.push(node);
    at += node.raw.length;
  }
  return nodes;
}

function decodeNode(bytes: Buffer): DerNode {
  const tag = bytes[0];
  const first = bytes[1];
  if (tag === undefined || first === undefined) throw new Error('DER: the encoding ends within a header');
  let length = first;
  let start = 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    if (count === 0 || count > 4 || bytes.length < 2 + count) throw new Error('DER: a length that is not supported');
    length = bytes.readUIntBE(2, count);
    start = 2 + count;
  }
  if (bytes.length < start + length) throw new Error('DER: the contents are shorter than their length says');
  return { tag, raw: bytes.subarray(0, start + length), contents: bytes.subarray(start, start + length) };
}
