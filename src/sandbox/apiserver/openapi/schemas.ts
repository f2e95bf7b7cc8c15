// SPDX-License-Identifier: Apache-2.0
// Schema nodes as OpenAPI schemas, version 2 or 3.
import type { JsonSchema } from '../crd/json-schema.ts';
import { type Descriptions, objectType } from '../schema/describe.ts';
import type { ObjectNode, SchemaField, SchemaNode } from '../schema/node.ts';

export type OpenApiVersion = 2 | 3;
export type OpenApiSchema = Record<string, unknown>;

const QUANTITY = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const INT_OR_STRING = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
const META_PREFIX = 'io.k8s.apimachinery.pkg.apis';
const EXTENSIONS_PREFIX = 'io.k8s.apiextensions-apiserver.pkg.apis';

/** "core.v1.Pod" -> "io.k8s.api.core.v1.Pod": the names that clients know. */
function schemaName(typeName: string): string {
  if (typeName.startsWith('meta.')) return `${META_PREFIX}.${typeName}`;
  if (typeName.startsWith('apiextensions.')) return `${EXTENSIONS_PREFIX}.${typeName}`;
  return `io.k8s.api.${typeName}`;
}

/** Collects the schemas that a set of types needs, by name. */
export class SchemaCollector {
  readonly schemas: Record<string, OpenApiSchema> = {};
  readonly #version: OpenApiVersion;
  readonly #descriptions: Descriptions;

  constructor(version: OpenApiVersion, descriptions: Descriptions) {
    this.#version = version;
    this.#descriptions = descriptions;
  }

  reference(name: string): string {
    return this.#version === 2 ? `#/definitions/${name}` : `#/components/schemas/${name}`;
  }

  /** Adds a built-in type and everything that it refers to; gives its name. */
  add(node: ObjectNode): string {
    const name = schemaName(node.typeName);
    if (this.schemas[name]) return name;
    const schema: OpenApiSchema = { type: 'object', ...described(this.#descriptions.ofType(node.typeName)) };
    this.schemas[name] = schema;
    const properties: Record<string, OpenApiSchema> = {};
    const required: string[] = [];
    for (const [field, spec] of node.fields) {
      properties[field] = this.#property(spec, this.#descriptions.ofMember(node, field, spec.node));
      if (spec.required) required.push(field);
    }
    if (Object.keys(properties).length > 0) schema['properties'] = properties;
    if (required.length > 0) schema['required'] = required;
    if (node.atomic) schema['x-kubernetes-map-type'] = 'atomic';
    return name;
  }

  /** Adds a top-level kind: with apiVersion and kind, and its group, version and kind noted. */
  addKind(node: ObjectNode, group: string, version: string, kind: string): string {
    const name = this.add(node);
    const schema = this.schemas[name]!;
    schema['properties'] = { ...TYPE_FIELDS, ...(schema['properties'] as object | undefined) };
    const known = (schema['x-kubernetes-group-version-kind'] ?? []) as object[];
    schema['x-kubernetes-group-version-kind'] = [...known, { group, version, kind }];
    return name;
  }

  /** The list of a kind: kubectl asks for it when it explains lists. */
  addList(item: string, group: string, version: string, listKind: string): string {
    const name = `${item}List`;
    this.schemas[name] ??= {
      type: 'object',
      required: ['items'],
      properties: {
        ...TYPE_FIELDS,
        items: { type: 'array', items: this.#ref(item) },
        metadata: this.#ref(`${META_PREFIX}.meta.v1.ListMeta`),
      },
      'x-kubernetes-group-version-kind': [{ group, version, kind: listKind }],
    };
    return name;
  }

  /** A custom resource, whose schema is OpenAPI already. `metadata` is the built-in ObjectMeta. */
  addCustom(
    name: string,
    schema: JsonSchema | undefined,
    metadata: ObjectNode,
    kind: { group: string; version: string; kind: string },
  ): void {
    const { 'x-kubernetes-validations': _, ...root } = schema ?? {
      type: 'object',
      'x-kubernetes-preserve-unknown-fields': true,
    };
    const body = this.#version === 2 ? simplify(root) : root;
    this.schemas[name] = {
      ...described(`A ${kind.kind} of ${kind.group}.`),
      ...body,
      type: 'object',
      properties: {
        ...(body['properties'] as object | undefined),
        ...TYPE_FIELDS,
        metadata: this.#metadata(metadata),
      },
      'x-kubernetes-group-version-kind': [kind],
    };
  }

  #metadata(metadata: ObjectNode): OpenApiSchema {
    const schema = this.#ref(this.add(metadata));
    const text = described(this.#descriptions.ofType(metadata.typeName));
    return this.#version === 3 ? { allOf: [schema], ...text } : { ...schema, ...text };
  }

  #ref(name: string): OpenApiSchema {
    return { $ref: this.reference(name) };
  }

  #property(field: SchemaField, text: string): OpenApiSchema {
    const schema = this.#schema(field.node);
    // kubectl prints the type's description behind the member's: not the same twice.
    const twice = this.#version === 3 && text === this.#descriptions.ofType(objectType(field.node));
    const rules: OpenApiSchema = twice ? {} : { ...described(text) };
    if (field.patchStrategies.length > 0) rules['x-kubernetes-patch-strategy'] = field.patchStrategies.join(',');
    if (field.mergeKey) rules['x-kubernetes-patch-merge-key'] = field.mergeKey;
    if (Object.keys(rules).length === 0) return schema;
    // A $ref may have no siblings in version 3.
    return schema['$ref'] && this.#version === 3 ? { allOf: [schema], ...rules } : { ...schema, ...rules };
  }

  #schema(node: SchemaNode): OpenApiSchema {
    switch (node.kind) {
      case 'object':
        return this.#ref(this.add(node));
      case 'list':
        return {
          type: 'array',
          items: this.#schema(node.items),
          'x-kubernetes-list-type': node.listType,
          ...(node.listKeys.length > 0 ? { 'x-kubernetes-list-map-keys': node.listKeys } : {}),
        };
      case 'map':
        return {
          type: 'object',
          additionalProperties: this.#schema(node.items),
          ...(node.atomic ? { 'x-kubernetes-map-type': 'atomic' } : {}),
        };
      case 'quantity':
        this.schemas[QUANTITY] ??=
          this.#version === 2 ? { type: 'string' } : { oneOf: [{ type: 'string' }, { type: 'number' }] };
        return this.#ref(QUANTITY);
      case 'intOrString':
        this.schemas[INT_OR_STRING] ??=
          this.#version === 2
            ? { type: 'string', format: 'int-or-string' }
            : { oneOf: [{ type: 'integer' }, { type: 'string' }], format: 'int-or-string' };
        return this.#ref(INT_OR_STRING);
      default:
        return scalarSchema(node.kind, node.goType);
    }
  }
}

function described(description: string): OpenApiSchema {
  return description ? { description } : {};
}

const TYPE_FIELDS: OpenApiSchema = {
  apiVersion: { type: 'string', description: 'Group and version of this object, such as apps/v1.' },
  kind: { type: 'string', description: 'What this object is, such as Pod.' },
};

function scalarSchema(kind: string, goType: string): OpenApiSchema {
  switch (kind) {
    case 'string':
    case 'duration':
      return { type: 'string' };
    case 'integer':
      return { type: 'integer', format: goType };
    case 'number':
      return { type: 'number', format: 'double' };
    case 'boolean':
      return { type: 'boolean' };
    case 'bytes':
      return { type: 'string', format: 'byte' };
    case 'time':
    case 'microTime':
      return { type: 'string', format: 'date-time' };
    case 'strings':
      return { type: 'array', items: { type: 'string' } };
    default:
      // Any JSON value has no type at all, but kubectl cannot explain a schema without any member; raw objects and field sets are objects.
      return goType === 'any'
        ? { description: 'Any JSON value.' }
        : { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  }
}

/** Version 2 knows no combinations and no nullable. */
function simplify(schema: JsonSchema): OpenApiSchema {
  const { anyOf: _, oneOf: __, allOf: ___, not: ____, nullable: _____, default: ______, ...rest } = schema;
  if (schema['x-kubernetes-int-or-string']) return { type: 'string', format: 'int-or-string' };
  const out: OpenApiSchema = { ...rest };
  delete out['x-kubernetes-validations'];
  if (schema['x-kubernetes-preserve-unknown-fields']) {
    // Older clients would take what they do not see for an error.
    return { type: schema.type ?? 'object', ...(schema.description ? { description: schema.description } : {}) };
  }
  if (schema.properties) {
    out['properties'] = Object.fromEntries(
      Object.entries(schema.properties).map(([name, inner]) => [name, simplify(inner)]),
    );
  }
  if (schema.items) out['items'] = simplify(schema.items);
  if (typeof schema.additionalProperties === 'object')
    out['additionalProperties'] = simplify(schema.additionalProperties);
  else delete out['additionalProperties'];
  return out;
}
