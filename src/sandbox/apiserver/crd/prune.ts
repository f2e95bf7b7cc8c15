// SPDX-License-Identifier: Apache-2.0
import { type Decoded, decodeObject, isRecord } from '../schema/decode.ts';
import type { ObjectNode, SchemaNode } from '../schema/node.ts';
import type { JsonSchema } from './json-schema.ts';

/**
 * A custom resource without what its schema does not have. Values of the wrong type are kept, for validation to name.
 * metadata is decoded as ObjectMeta (DecodeError when it cannot be).
 */
export function pruneCustom(raw: Record<string, unknown>, root: ObjectNode, metadata: ObjectNode): Decoded {
  const unknownFields: string[] = [];
  const { metadata: rawMetadata, ...rest } = raw;
  const holder: ObjectNode = {
    kind: 'object',
    typeName: 'ObjectMeta',
    fields: new Map([
      ['metadata', { node: metadata, number: 0, required: false, presence: 'always', patchStrategies: [] }],
    ]),
    embedded: [],
    atomic: false,
    preserveUnknown: false,
  };
  const meta = decodeObject({ metadata: rawMetadata ?? {} }, holder);
  unknownFields.push(...meta.unknownFields);
  const value = prune(rest, root, '', unknownFields) as Record<string, unknown>;
  return { value: { ...value, metadata: meta.value['metadata'] }, unknownFields };
}

function prune(value: unknown, node: SchemaNode, path: string, unknown: string[]): unknown {
  if (node.kind === 'list') {
    return Array.isArray(value)
      ? value.map((item, index) => prune(item, node.items, `${path}[${index}]`, unknown))
      : value;
  }
  if (!isRecord(value)) return value;
  if (node.kind === 'map') {
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [key, prune(item, node.items, join(path, key), unknown)]),
    );
  }
  if (node.kind !== 'object') return value;
  const kept: [string, unknown][] = [];
  for (const [name, item] of Object.entries(value)) {
    const inner = node.fields.get(name)?.node ?? node.additional;
    if (inner) kept.push([name, prune(item, inner, join(path, name), unknown)]);
    else if (node.preserveUnknown) kept.push([name, item]);
    else unknown.push(join(path, name));
  }
  return Object.fromEntries(kept);
}

function join(path: string, name: string): string {
  return path ? `${path}.${name}` : name;
}

/**
 * Fills in the schema's defaults, in place. A null where null is not allowed counts as absent when there is a default.
 */
export function applyDefaults(value: unknown, schema: JsonSchema): void {
  if (Array.isArray(value)) {
    if (schema.items) for (const item of value) applyDefaults(item, schema.items);
    return;
  }
  if (!isRecord(value)) return;
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    const given = value[name];
    const absent = given === undefined || (given === null && !inner.nullable);
    if (absent && inner.default !== undefined) value[name] = structuredClone(inner.default);
    else if (given === null && !inner.nullable) delete value[name];
    if (value[name] !== undefined) applyDefaults(value[name], inner);
  }
  if (typeof schema.additionalProperties === 'object') {
    for (const [name, item] of Object.entries(value)) {
      if (!Object.hasOwn(schema.properties ?? {}, name)) applyDefaults(item, schema.additionalProperties);
    }
  }
}
