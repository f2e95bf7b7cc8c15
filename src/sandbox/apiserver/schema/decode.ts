// SPDX-License-Identifier: Apache-2.0
// Decoding as the real server does it: unknown members are dropped (and named), wrong types refuse the object, and
// what is left is written in the canonical form (empty members left out or filled in as the Go types would).
import type { ObjectNode, ScalarNode, SchemaField, SchemaNode } from './node.ts';
import { structName } from './node.ts';
import { canonicalQuantity } from './quantity.ts';

export class DecodeError extends Error {}

export interface Decoded {
  readonly value: Record<string, unknown>;
  /** Paths of members that the type does not have: "spec.bogus", "spec.containers[0].foo". */
  readonly unknownFields: readonly string[];
}

/**
 * `raw` (parsed JSON) as `node`. apiVersion and kind pass through. Throws DecodeError with Go's wording.
 */
export function decodeObject(raw: Record<string, unknown>, node: ObjectNode): Decoded {
  const context: Context = { unknown: [] };
  const { apiVersion, kind, ...members } = raw;
  const value = decodeStruct(members, node, '', '', context);
  const head: Record<string, unknown> = {};
  if (kind !== undefined) head['kind'] = kind;
  if (apiVersion !== undefined) head['apiVersion'] = apiVersion;
  return { value: { ...head, ...value }, unknownFields: context.unknown };
}

interface Context {
  unknown: string[];
}

function decodeStruct(
  raw: Record<string, unknown>,
  node: ObjectNode,
  path: string,
  goPath: string,
  context: Context,
): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const name of Object.keys(raw)) {
    if (!node.fields.has(name)) {
      if (node.preserveUnknown || node.additional) continue;
      context.unknown.push(path ? `${path}.${name}` : name);
    }
  }
  for (const [name, field] of node.fields) {
    const given = raw[name];
    const here = path ? `${path}.${name}` : name;
    const goHere = goPath ? `${goPath}.${name}` : name;
    const value =
      given === null || given === undefined
        ? undefined
        : decodeValue(given, field.node, here, { struct: structName(node), path: goHere }, context);
    const kept = presentValue(value, field, here, context);
    if (kept !== undefined) out[name] = kept;
  }
  return out;
}

/** Applies the field's presence rule; undefined leaves it out. */
function presentValue(value: unknown, field: SchemaField, path: string, context: Context): unknown {
  if (field.presence === 'set') return value;
  if (field.presence === 'nonEmpty') return isEmpty(value) ? undefined : value;
  if (value !== undefined) return value;
  if (field.presence === 'nullable') return null;
  return emptyValue(field.node, path, context);
}

function emptyValue(node: SchemaNode, path: string, context: Context): unknown {
  switch (node.kind) {
    case 'object':
      return decodeStruct({}, node, path, path, context);
    case 'string':
    case 'bytes':
      return '';
    case 'integer':
    case 'number':
    case 'intOrString':
      return 0;
    case 'boolean':
      return false;
    case 'quantity':
      return '0';
    case 'duration':
      return '0s';
    default:
      return null;
  }
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === '' || value === 0 || value === false) return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

interface Site {
  readonly struct: string;
  readonly path: string;
}

function decodeValue(given: unknown, node: SchemaNode, path: string, site: Site, context: Context): unknown {
  switch (node.kind) {
    case 'object':
      if (!isRecord(given)) throw mismatch(given, site, goTypeName(node));
      return decodeStruct(given, node, path, site.path, context);
    case 'list':
      if (!Array.isArray(given)) throw mismatch(given, site, goTypeName(node));
      return given.map((item, index) =>
        item === null
          ? emptyValue(node.items, path, context)
          : decodeValue(item, node.items, `${path}[${index}]`, site, context),
      );
    case 'map': {
      if (!isRecord(given)) throw mismatch(given, site, goTypeName(node));
      // fromEntries defines members, so that a key named __proto__ stays a key.
      return Object.fromEntries(
        Object.entries(given).map(([key, item]) => [
          key,
          item === null
            ? emptyValue(node.items, path, context)
            : decodeValue(item, node.items, `${path}.${key}`, site, context),
        ]),
      );
    }
    default:
      return decodeScalar(given, node, site);
  }
}

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function decodeScalar(given: unknown, node: ScalarNode, site: Site): unknown {
  switch (node.kind) {
    case 'any':
      return given;
    case 'string':
      if (typeof given !== 'string') throw mismatch(given, site, node.goType);
      return given;
    case 'boolean':
      if (typeof given !== 'boolean') throw mismatch(given, site, 'bool');
      return given;
    case 'integer':
      if (typeof given !== 'number') throw mismatch(given, site, node.goType);
      if (!Number.isInteger(given)) throw mismatch(given, site, node.goType, `number ${given}`);
      return given;
    case 'number':
      if (typeof given !== 'number') throw mismatch(given, site, node.goType);
      return given;
    case 'strings':
      if (!Array.isArray(given) || given.some((item) => typeof item !== 'string')) {
        throw mismatch(given, site, node.goType);
      }
      return given;
    case 'intOrString':
      if (typeof given !== 'string' && typeof given !== 'number') throw mismatch(given, site, 'string');
      return given;
    case 'bytes':
      return decodeBytes(given, site);
    case 'quantity':
      return decodeQuantity(given);
    case 'time':
    case 'microTime':
      return decodeTime(given, node.kind, site);
    case 'duration':
      if (typeof given !== 'string') throw mismatch(given, site, 'string');
      return given;
  }
}

function decodeBytes(given: unknown, site: Site): string {
  if (typeof given !== 'string') throw mismatch(given, site, '[]uint8');
  const bad = /[^A-Za-z0-9+/=\r\n]/.exec(given);
  const plain = given.replace(/[\r\n]/g, '');
  if (bad || plain.length % 4 !== 0 || !/^[^=]*={0,2}$/.test(plain)) {
    throw new DecodeError(`illegal base64 data at input byte ${bad ? bad.index : Math.max(0, plain.length - 1)}`);
  }
  return plain;
}

function decodeQuantity(given: unknown): string {
  const text = typeof given === 'number' ? String(given) : given;
  const canonical = typeof text === 'string' ? canonicalQuantity(text) : undefined;
  if (canonical === undefined) {
    throw new DecodeError(
      "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
    );
  }
  return canonical;
}

function decodeTime(given: unknown, kind: 'time' | 'microTime', site: Site): string {
  if (typeof given !== 'string') throw mismatch(given, site, 'string');
  const layout = kind === 'time' ? '2006-01-02T15:04:05Z07:00' : '2006-01-02T15:04:05.000000Z07:00';
  const when = RFC3339.test(given) ? Date.parse(given) : Number.NaN;
  if (Number.isNaN(when)) {
    throw new DecodeError(
      `parsing time ${JSON.stringify(given)} as ${JSON.stringify(layout)}: cannot parse ${JSON.stringify(given)} as "2006"`,
    );
  }
  const seconds = `${new Date(when).toISOString().slice(0, 19)}`;
  if (kind === 'time') return `${seconds}Z`;
  const fraction = (/\.(\d+)/.exec(given)?.[1] ?? '').slice(0, 6).padEnd(6, '0');
  return `${seconds}.${fraction}Z`;
}

function mismatch(given: unknown, site: Site, goType: string, what?: string): DecodeError {
  return new DecodeError(
    `json: cannot unmarshal ${what ?? jsonTypeName(given)} into Go struct field ${site.struct}.${site.path} of type ${goType}`,
  );
}

export function jsonTypeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'boolean') return 'bool';
  return typeof value;
}

function goTypeName(node: SchemaNode): string {
  if (node.kind === 'list') return `[]${goTypeName(node.items)}`;
  if (node.kind === 'map') return `map[string]${goTypeName(node.items)}`;
  if (node.kind === 'object') return node.typeName.slice(node.typeName.indexOf('.') + 1);
  return node.goType;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
