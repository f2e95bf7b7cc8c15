// SPDX-License-Identifier: Apache-2.0
// A structural schema as the schema model that pruning, server-side apply and explain walk.
import type { ListType, ObjectNode, SchemaField, SchemaNode } from '../schema/node.ts';
import type { JsonSchema } from './json-schema.ts';

/** The root of a custom resource: `metadata` follows ObjectMeta whatever the schema says. */
export function customRootNode(schema: JsonSchema | undefined, kind: string, metadata: ObjectNode): ObjectNode {
  const root = objectNode(schema ?? { 'x-kubernetes-preserve-unknown-fields': true }, kind);
  const fields = new Map(root.fields);
  for (const name of ['apiVersion', 'kind']) fields.set(name, plainField({ kind: 'string', goType: 'string' }));
  fields.set('metadata', plainField(metadata));
  return { ...root, fields };
}

function plainField(node: SchemaNode, required = false): SchemaField {
  return { node, number: 0, required, presence: 'set', patchStrategies: [] };
}

function schemaNode(schema: JsonSchema, name: string): SchemaNode {
  if (schema['x-kubernetes-int-or-string']) return { kind: 'intOrString', goType: 'string' };
  switch (schema.type) {
    case 'object':
      return isMap(schema) ? mapNode(schema, name) : objectNode(schema, name);
    case 'array':
      return {
        kind: 'list',
        items: schemaNode(schema.items ?? {}, name),
        listType: (schema['x-kubernetes-list-type'] ?? 'atomic') as ListType,
        listKeys: schema['x-kubernetes-list-map-keys'] ?? [],
      };
    case 'string':
      return { kind: 'string', goType: 'string' };
    case 'integer':
      return { kind: 'integer', goType: schema.format === 'int32' ? 'int32' : 'int64' };
    case 'number':
      return { kind: 'number', goType: 'float64' };
    case 'boolean':
      return { kind: 'boolean', goType: 'bool' };
    default:
      return { kind: 'any', goType: 'any' };
  }
}

function isMap(schema: JsonSchema): boolean {
  return typeof schema.additionalProperties === 'object' && !schema.properties;
}

function mapNode(schema: JsonSchema, name: string): SchemaNode {
  return {
    kind: 'map',
    items: schemaNode(schema.additionalProperties as JsonSchema, name),
    atomic: schema['x-kubernetes-map-type'] === 'atomic',
  };
}

function objectNode(schema: JsonSchema, typeName: string): ObjectNode {
  const required = new Set(schema.required);
  const fields = new Map<string, SchemaField>();
  if (schema['x-kubernetes-embedded-resource']) {
    for (const name of ['apiVersion', 'kind']) fields.set(name, plainField({ kind: 'string', goType: 'string' }));
    fields.set('metadata', plainField({ kind: 'any', goType: 'any' }));
  }
  for (const [name, inner] of Object.entries(schema.properties ?? {})) {
    fields.set(name, plainField(schemaNode(inner, name), required.has(name)));
  }
  const additional = schema.additionalProperties;
  return {
    kind: 'object',
    typeName,
    fields,
    embedded: [],
    atomic: schema['x-kubernetes-map-type'] === 'atomic',
    preserveUnknown: schema['x-kubernetes-preserve-unknown-fields'] === true || additional === true,
    ...(typeof additional === 'object' ? { additional: schemaNode(additional, typeName) } : {}),
  };
}
