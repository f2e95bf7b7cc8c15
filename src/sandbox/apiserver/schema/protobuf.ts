// SPDX-License-Identifier: Apache-2.0
// The protobuf form of built-in objects, read only: kubectl create sends it. Answers are JSON, which every client that
// sends protobuf also accepts. https://kubernetes.io/docs/reference/using-api/api-concepts/#protobuf-encoding
import type { ObjectNode, SchemaField, SchemaNode } from './node.ts';

const MAGIC = Buffer.from('k8s\0', 'latin1');
const UTF8 = new TextDecoder('utf-8', { fatal: true });

export class ProtobufError extends Error {}

export interface ProtobufEnvelope {
  readonly apiVersion: string;
  readonly kind: string;
  readonly raw: Uint8Array;
}

interface WireField {
  readonly number: number;
  /** varint and fixed types as bigint, length-delimited ones as bytes. */
  readonly value: bigint | Uint8Array;
}

/** The runtime.Unknown around every object. */
export function readEnvelope(body: Uint8Array): ProtobufEnvelope {
  if (Buffer.compare(body.subarray(0, 4), MAGIC) !== 0) {
    throw new ProtobufError('provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]');
  }
  let apiVersion = '';
  let kind = '';
  let raw: Uint8Array = new Uint8Array();
  for (const field of readFields(body.subarray(4))) {
    if (field.number === 2) raw = bytesOf(field);
    if (field.number !== 1) continue;
    for (const meta of readFields(bytesOf(field))) {
      if (meta.number === 1) apiVersion = textOf(meta);
      if (meta.number === 2) kind = textOf(meta);
    }
  }
  return { apiVersion, kind, raw };
}

/** One message as plain JSON (without apiVersion and kind). Fields that `node` lacks are skipped. */
export function decodeProtobuf(bytes: Uint8Array, node: ObjectNode): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const byNumber = new Map<number, [string, SchemaField]>();
  for (const entry of node.fields) if (entry[1].number > 0) byNumber.set(entry[1].number, entry);
  for (const wire of readFields(bytes)) {
    const embedded = node.embedded.find(({ number }) => number === wire.number);
    if (embedded) {
      Object.assign(out, decodeProtobuf(bytesOf(wire), embedded.node));
      continue;
    }
    const found = byNumber.get(wire.number);
    if (found) addField(out, found[0], found[1].node, wire);
  }
  return out;
}

function addField(out: Record<string, unknown>, name: string, node: SchemaNode, wire: WireField): void {
  if (node.kind === 'list') {
    const list = (out[name] ?? []) as unknown[];
    out[name] = list;
    if (node.items.kind === 'integer' && typeof wire.value !== 'bigint') list.push(...readPacked(wire.value));
    else list.push(decodeWire(wire, node.items));
    return;
  }
  if (node.kind === 'map') {
    const map = (out[name] ?? {}) as Record<string, unknown>;
    out[name] = map;
    let key = '';
    let value: unknown;
    for (const part of readFields(bytesOf(wire))) {
      if (part.number === 1) key = textOf(part);
      if (part.number === 2) value = decodeWire(part, node.items);
    }
    Object.defineProperty(map, key, {
      value: value ?? emptyWire(node.items),
      enumerable: true,
      configurable: true,
      writable: true,
    });
    return;
  }
  const value = decodeWire(wire, node);
  if (value !== undefined) out[name] = value;
}

function emptyWire(node: SchemaNode): unknown {
  return node.kind === 'string' || node.kind === 'bytes' ? '' : node.kind === 'object' ? {} : null;
}

function decodeWire(wire: WireField, node: SchemaNode): unknown {
  switch (node.kind) {
    case 'string':
      return textOf(wire);
    case 'bytes':
      return Buffer.from(bytesOf(wire)).toString('base64');
    case 'integer':
      return Number(numberOf(wire));
    case 'boolean':
      return numberOf(wire) !== 0n;
    case 'number': {
      const bits = Buffer.alloc(8);
      bits.writeBigUInt64LE(BigInt.asUintN(64, numberOf(wire)));
      return bits.readDoubleLE();
    }
    case 'object':
      return decodeProtobuf(bytesOf(wire), node);
    case 'quantity':
      return textOf(
        readFields(bytesOf(wire)).find(({ number }) => number === 1) ?? { number: 1, value: new Uint8Array() },
      );
    case 'duration':
      return `${Number(numberIn(wire, 1)) / 1e9}s`;
    case 'time':
    case 'microTime':
      return decodeTime(wire, node.kind);
    case 'intOrString': {
      const fields = readFields(bytesOf(wire));
      const text = fields.find(({ number }) => number === 3);
      return numberIn(wire, 1) === 1n ? (text ? textOf(text) : '') : Number(numberIn(wire, 2));
    }
    case 'strings':
      return readFields(bytesOf(wire)).map(textOf);
    case 'any': {
      const raw = readFields(bytesOf(wire)).find(({ number }) => number === 1);
      return raw && bytesOf(raw).length > 0 ? JSON.parse(textOf(raw)) : undefined;
    }
    default:
      throw new ProtobufError(`no wire form for ${node.kind}`);
  }
}

function decodeTime(wire: WireField, kind: 'time' | 'microTime'): string | undefined {
  const seconds = numberIn(wire, 1);
  if (bytesOf(wire).length === 0 || seconds === ZERO_TIME_SECONDS) return undefined;
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, 19);
  if (kind === 'time') return `${text}Z`;
  return `${text}.${String(numberIn(wire, 2) / 1000n).padStart(6, '0')}Z`;
}

/** Go's zero time, year 1. */
const ZERO_TIME_SECONDS = -62135596800n;

function numberIn(wire: WireField, number: number): bigint {
  const found = readFields(bytesOf(wire)).findLast((field) => field.number === number);
  return found ? numberOf(found) : 0n;
}

function bytesOf(field: WireField): Uint8Array {
  if (typeof field.value === 'bigint') throw new ProtobufError(`field ${field.number}: expected length-delimited data`);
  return field.value;
}

function textOf(field: WireField): string {
  try {
    return UTF8.decode(bytesOf(field));
  } catch (error) {
    if (error instanceof ProtobufError) throw error;
    throw new ProtobufError(`field ${field.number}: invalid UTF-8`);
  }
}

function numberOf(field: WireField): bigint {
  if (typeof field.value !== 'bigint') throw new ProtobufError(`field ${field.number}: expected a number`);
  return field.value;
}

function readPacked(bytes: Uint8Array): number[] {
  const out: number[] = [];
  const cursor = { at: 0 };
  while (cursor.at < bytes.length) out.push(Number(readVarint(bytes, cursor)));
  return out;
}

function readFields(bytes: Uint8Array): WireField[] {
  const fields: WireField[] = [];
  const cursor = { at: 0 };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  while (cursor.at < bytes.length) {
    const tag = Number(BigInt.asUintN(64, readVarint(bytes, cursor)));
    const number = Math.floor(tag / 8);
    const wireType = tag % 8;
    if (number === 0) throw new ProtobufError('illegal field number 0');
    if (wireType === 0) {
      fields.push({ number, value: readVarint(bytes, cursor) });
      continue;
    }
    const length = wireType === 1 ? 8 : wireType === 5 ? 4 : wireType === 2 ? Number(readVarint(bytes, cursor)) : -1;
    if (length < 0) throw new ProtobufError(`illegal wire type ${wireType}`);
    if (cursor.at + length > bytes.length) throw new ProtobufError('unexpected EOF');
    if (wireType === 2) fields.push({ number, value: bytes.subarray(cursor.at, cursor.at + length) });
    else if (wireType === 1) fields.push({ number, value: view.getBigInt64(cursor.at, true) });
    else fields.push({ number, value: BigInt(view.getInt32(cursor.at, true)) });
    cursor.at += length;
  }
  return fields;
}

function readVarint(bytes: Uint8Array, cursor: { at: number }): bigint {
  let value = 0n;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[cursor.at++];
    if (byte === undefined) throw new ProtobufError('unexpected EOF');
    value |= BigInt(byte & 0x7f) << shift;
    if (byte < 0x80) return BigInt.asIntN(64, value);
  }
  throw new ProtobufError('varint overflows 64 bits');
}
