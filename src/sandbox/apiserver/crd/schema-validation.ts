// SPDX-License-Identifier: Apache-2.0
// Values against structural schemas, with the causes that the real server gives.
import { isIP } from 'node:net';
import { isRecord } from '../schema/decode.ts';
import type { StatusCause } from '../status.ts';
import { duplicate, invalidValue, required, tooLong, unsupported } from '../validation/causes.ts';
import type { JsonSchema } from './json-schema.ts';

/**
 * `path` is '' at the root. What is as in `old` (the stored value) is not judged again, so that a stricter schema does
 * not forbid changes of other members:
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-ratcheting
 */
export function validateAgainst(value: unknown, schema: JsonSchema, path: string, old?: unknown): StatusCause[] {
  const causes: StatusCause[] = [];
  check(value, schema, path, causes, old);
  return causes;
}

/** The old item that an item of a list map stands for; items of other lists have no such thing. */
export function formerItem(old: unknown, item: unknown, schema: JsonSchema): unknown {
  const keys = schema['x-kubernetes-list-type'] === 'map' ? schema['x-kubernetes-list-map-keys'] : undefined;
  if (!Array.isArray(old) || !keys || !isRecord(item)) return undefined;
  return old.find((one) => isRecord(one) && keys.every((key) => sameJson(one[key], item[key])));
}

function check(value: unknown, schema: JsonSchema, path: string, causes: StatusCause[], old?: unknown): void {
  if (old !== undefined && sameJson(value, old)) return;
  if (value === null && schema.nullable) return;
  if (!hasType(value, schema)) {
    const wanted = schema['x-kubernetes-int-or-string'] ? 'integer,string' : (schema.type ?? '');
    const given = typeName(value);
    const message = `Invalid value: ${JSON.stringify(given)}: ${path} in body must be of type ${wanted}: ${JSON.stringify(given)}`;
    causes.push({ reason: 'FieldValueTypeInvalid', message, field: path });
    return;
  }
  if (schema.enum && !schema.enum.some((one) => sameJson(one, value))) {
    causes.push(
      unsupported(
        path,
        value,
        schema.enum.map((one) => (typeof one === 'string' ? one : JSON.stringify(one))),
      ),
    );
  }
  if (typeof value === 'string') checkString(value, schema, path, causes);
  else if (typeof value === 'number') checkNumber(value, schema, path, causes);
  else if (Array.isArray(value)) checkArray(value, schema, path, causes, old);
  else if (isRecord(value)) checkObject(value, schema, path, causes, old);
  checkCombinations(value, schema, path, causes);
}

function hasType(value: unknown, schema: JsonSchema): boolean {
  if (schema['x-kubernetes-int-or-string']) return typeof value === 'string' || Number.isInteger(value);
  switch (schema.type) {
    case undefined:
    case '':
      return true;
    case 'object':
      return isRecord(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    default:
      return typeof value === schema.type;
  }
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

function checkString(value: string, schema: JsonSchema, path: string, causes: StatusCause[]): void {
  const length = [...value].length;
  if (schema.maxLength !== undefined && length > schema.maxLength) causes.push(tooLong(path, schema.maxLength));
  if (schema.minLength !== undefined && length < schema.minLength) {
    causes.push(invalidValue(path, value, `${path} in body should be at least ${schema.minLength} chars long`));
  }
  if (schema.pattern && !compilePattern(schema.pattern).test(value)) {
    causes.push(invalidValue(path, value, `${path} in body should match '${schema.pattern}'`));
  }
  if (schema.format && !matchesFormat(value, schema.format)) {
    causes.push(
      invalidValue(path, value, `${path} in body must be of type ${schema.format}: ${JSON.stringify(value)}`),
    );
  }
}

/** RE2 patterns run as ECMAScript ones; (?i) and its kin at the start become flags. */
export function compilePattern(pattern: string): RegExp {
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  return new RegExp(flags ? pattern.slice(flags[0].length) : pattern, `u${flags?.[1] ?? ''}`);
}

const FORMATS: Readonly<Record<string, (value: string) => boolean>> = {
  'date-time': (value) =>
    /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(value) && !Number.isNaN(Date.parse(value)),
  date: (value) => /^\d{4}-\d\d-\d\d$/.test(value) && !Number.isNaN(Date.parse(value)),
  ipv4: (value) => isIP(value) === 4,
  ipv6: (value) => isIP(value) === 6,
  uuid: (value) => /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i.test(value),
  uri: (value) => URL.canParse(value),
  byte: (value) => /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0,
  email: (value) => /^[^@\s]+@[^@\s]+$/.test(value),
  duration: (value) => /^[+-]?(\d+(\.\d+)?(ns|us|µs|ms|s|m|h|d|w) ?)+$|^0$/.test(value),
  cidr: (value) => {
    const [address = '', bits = ''] = value.split('/');
    const family = isIP(address);
    return family !== 0 && /^\d+$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
  },
};

/** Formats that are not known say nothing, as on the real server. */
function matchesFormat(value: string, format: string): boolean {
  return Object.hasOwn(FORMATS, format) ? FORMATS[format]!(value) : true;
}

function checkNumber(value: number, schema: JsonSchema, path: string, causes: StatusCause[]): void {
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum ? value <= minimum : value < minimum)) {
    const or = schema.exclusiveMinimum ? '' : ' or equal to';
    causes.push(invalidValue(path, value, `${path} in body should be greater than${or} ${minimum}`));
  }
  if (maximum !== undefined && (schema.exclusiveMaximum ? value >= maximum : value > maximum)) {
    const or = schema.exclusiveMaximum ? '' : ' or equal to';
    causes.push(invalidValue(path, value, `${path} in body should be less than${or} ${maximum}`));
  }
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf)) {
    causes.push(invalidValue(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  }
}

function checkArray(value: unknown[], schema: JsonSchema, path: string, causes: StatusCause[], old: unknown): void {
  if (schema.maxItems !== undefined && value.length > schema.maxItems) {
    const message = `Too many: ${value.length}: must have at most ${schema.maxItems} items`;
    causes.push({ reason: 'FieldValueTooMany', message, field: path });
  }
  if (schema.minItems !== undefined && value.length < schema.minItems) {
    causes.push(invalidValue(path, value.length, `${path} in body should have at least ${schema.minItems} items`));
  }
  const { items } = schema;
  if (!items) return;
  for (const [index, item] of value.entries()) {
    check(item, items, `${path}[${index}]`, causes, formerItem(old, item, schema));
  }
}

/** Items that stand twice in sets and maps. Apart from validateAgainst: rules are checked in spite of these. */
export function validateListTypes(value: unknown, schema: JsonSchema, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  if (Array.isArray(value)) {
    causes.push(...duplicateItems(value, schema, path));
    const { items } = schema;
    if (items) causes.push(...value.flatMap((item, index) => validateListTypes(item, items, `${path}[${index}]`)));
  } else if (isRecord(value)) {
    for (const [name, item] of Object.entries(value)) {
      const inner = schema.properties?.[name] ?? schema.additionalProperties;
      if (typeof inner === 'object') causes.push(...validateListTypes(item, inner, join(path, name)));
    }
  }
  return causes;
}

function duplicateItems(value: unknown[], schema: JsonSchema, path: string): StatusCause[] {
  const keys = listKeys(schema);
  if (!keys) return [];
  const seen = new Set<string>();
  return value.flatMap((item, index) => {
    const identity = keys.length === 0 ? item : keyOf(item, keys);
    const text = JSON.stringify(identity);
    const twice = seen.has(text);
    seen.add(text);
    return twice ? [duplicate(`${path}[${index}]`, identity)] : [];
  });
}

/** The keys of a list map, [] for a set, undefined for an atomic list. */
function listKeys(schema: JsonSchema): readonly string[] | undefined {
  if (schema['x-kubernetes-list-type'] === 'map') return schema['x-kubernetes-list-map-keys'] ?? [];
  return schema['x-kubernetes-list-type'] === 'set' || schema.uniqueItems ? [] : undefined;
}

function keyOf(item: unknown, keys: readonly string[]): unknown {
  if (!isRecord(item)) return item;
  return Object.fromEntries(keys.filter((key) => item[key] !== undefined).map((key) => [key, item[key]]));
}

function checkObject(
  value: Record<string, unknown>,
  schema: JsonSchema,
  path: string,
  causes: StatusCause[],
  old: unknown,
): void {
  const before = isRecord(old) ? old : {};
  const count = Object.keys(value).length;
  if (schema.maxProperties !== undefined && count > schema.maxProperties) {
    const message = `Too many: ${count}: must have at most ${schema.maxProperties} items`;
    causes.push({ reason: 'FieldValueTooMany', message, field: path });
  }
  if (schema.minProperties !== undefined && count < schema.minProperties) {
    causes.push(invalidValue(path, count, `${path} in body should have at least ${schema.minProperties} properties`));
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    // The type and metadata of the object itself are the decoder's business.
    if (path === '' && (name === 'metadata' || name === 'apiVersion' || name === 'kind')) continue;
    if (value[name] !== undefined) check(value[name], inner, join(path, name), causes, before[name]);
  }
  for (const name of schema.required ?? []) {
    if (value[name] === undefined) causes.push(required(join(path, name)));
  }
  if (typeof schema.additionalProperties !== 'object') return;
  for (const [name, item] of Object.entries(value)) {
    if (!Object.hasOwn(schema.properties ?? {}, name))
      check(item, schema.additionalProperties, join(path, name), causes, before[name]);
  }
}

function join(path: string, name: string): string {
  return path ? `${path}.${name}` : name;
}

function checkCombinations(value: unknown, schema: JsonSchema, path: string, causes: StatusCause[]): void {
  const passes = (inner: JsonSchema) => validateAgainst(value, inner, path).length === 0;
  const name = path || '<nil>';
  for (const inner of schema.allOf ?? []) check(value, inner, path, causes);
  if (schema.anyOf && !schema.anyOf.some(passes)) {
    causes.push(invalidValue(name, '', `${name} in body must validate at least one schema (anyOf)`));
  }
  if (schema.oneOf) {
    const valid = schema.oneOf.filter(passes).length;
    if (valid !== 1) {
      const found = valid === 0 ? 'none valid' : `${valid} valid alternatives`;
      causes.push(
        invalidValue(name, '', `${name} in body must validate one and only one schema (oneOf). Found ${found}`),
      );
    }
  }
  if (schema.not && passes(schema.not)) {
    causes.push(invalidValue(name, '', `${name} in body must not validate the schema (not)`));
  }
}

export function sameJson(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => sameJson(item, b[index]));
  if (!isRecord(a) || !isRecord(b)) return false;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}
