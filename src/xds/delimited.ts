// SPDX-License-Identifier: Apache-2.0
// Protobuf's length-delimited fields, written into one buffer of just the right size: what holds a megabyte of routes is
// copied once, and no buffer grows. https://protobuf.dev/programming-guides/encoding/

const LENGTH_DELIMITED = 2;

/** A field's bytes, or those of a message inside it. */
export type Field = readonly [number: number, content: Uint8Array | readonly Field[]];

/** `rest`: what is encoded already, and comes behind. */
export function encodeFields(fields: readonly Field[], rest: Uint8Array = new Uint8Array()): Buffer {
  const bytes = Buffer.allocUnsafe(fields.reduce((sum, field) => sum + sizeOf(field), rest.length));
  bytes.set(
    rest,
    fields.reduce((at, field) => write(bytes, at, field), 0),
  );
  return bytes;
}

function sizeOf([number, content]: Field): number {
  const length = lengthOf(content);
  return varintSize((number << 3) | LENGTH_DELIMITED) + varintSize(length) + length;
}

function lengthOf(content: Field[1]): number {
  if (content instanceof Uint8Array) return content.length;
  return content.reduce((sum, field) => sum + sizeOf(field), 0);
}

/** Where the next field begins. */
function write(bytes: Buffer, start: number, [number, content]: Field): number {
  const at = writeVarint(bytes, writeVarint(bytes, start, (number << 3) | LENGTH_DELIMITED), lengthOf(content));
  if (content instanceof Uint8Array) {
    bytes.set(content, at);
    return at + content.length;
  }
  return content.reduce((next, field) => write(bytes, next, field), at);
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 127; rest = Math.floor(rest / 128)) size++;
  return size;
}

function writeVarint(bytes: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) | 128;
  bytes[at++] = rest;
  return at;
}
