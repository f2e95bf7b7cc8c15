// SPDX-License-Identifier: Apache-2.0
// An OpenAPI v2 document in gnostic's protobuf form (openapi.v2.Document), which older kubectls insist on. Only what
// our documents hold is written. Numbers: https://github.com/google/gnostic/blob/main/openapiv2/OpenAPIv2.proto
import { stringify } from 'yaml';

type Json = Record<string, unknown>;

export function encodeGnostic(document: Json): Buffer {
  const info = document['info'] as Json;
  return Buffer.concat([
    text(1, document['swagger']),
    message(2, [text(1, info['title']), text(2, info['version'])]),
    message(
      8,
      members(document['paths']).map(([name, item]) => named(2, name, pathItem(item as Json))),
    ),
    message(
      9,
      members(document['definitions']).map(([name, schema]) => named(1, name, encodeSchema(schema as Json))),
    ),
  ]);
}

const OPERATION_NUMBERS: Readonly<Record<string, number>> = { get: 2, put: 3, post: 4, delete: 5, patch: 8 };

function pathItem(item: Json): Buffer[] {
  const operations = Object.entries(OPERATION_NUMBERS).flatMap(([method, number]) =>
    item[method] ? [message(number, operation(item[method] as Json))] : [],
  );
  return [...operations, ...list(item['parameters']).map((one) => message(9, parameterItem(one as Json)))];
}

function operation(value: Json): Buffer[] {
  const responses = members(value['responses']).map(([code, response]) =>
    named(1, code, [message(1, [text(1, (response as Json)['description'])])]),
  );
  return [
    text(5, value['operationId']),
    ...list(value['parameters']).map((one) => message(8, parameterItem(one as Json))),
    message(9, responses),
    ...extensions(13, value),
  ];
}

/** ParametersItem -> Parameter -> NonBodyParameter -> query (3) or path (4) parameter. */
function parameterItem(value: Json): Buffer[] {
  const query = value['in'] === 'query';
  const fields = [
    flag(1, value['required']),
    text(2, value['in']),
    text(4, value['name']),
    text(query ? 6 : 5, value['type']),
    flag(query ? 20 : 19, value['uniqueItems']),
  ];
  return [message(1, [message(2, [message(query ? 3 : 4, fields)])])];
}

function encodeSchema(schema: Json): Buffer[] {
  const additional = schema['additionalProperties'];
  const items = schema['items'];
  return [
    text(1, schema['$ref']),
    text(2, schema['format']),
    text(3, schema['title']),
    text(4, schema['description']),
    text(13, schema['pattern']),
    ...list(schema['required']).map((name) => text(19, name)),
    ...list(schema['enum']).map((value) => message(20, any(value))),
    ...(typeof additional === 'object' && additional !== null
      ? [message(21, [message(1, encodeSchema(additional as Json))])]
      : []),
    ...(schema['type'] ? [message(22, [text(1, schema['type'])])] : []),
    ...(typeof items === 'object' && items !== null ? [message(23, [message(1, encodeSchema(items as Json))])] : []),
    ...(schema['properties']
      ? [
          message(
            25,
            members(schema['properties']).map(([name, one]) => named(1, name, encodeSchema(one as Json))),
          ),
        ]
      : []),
    ...extensions(31, schema),
  ];
}

function extensions(number: number, value: Json): Buffer[] {
  return members(value)
    .filter(([name]) => name.startsWith('x-'))
    .map(([name, extension]) => named(number, name, any(extension)));
}

/** gnostic's Any carries values as YAML. */
function any(value: unknown): Buffer[] {
  return [text(2, stringify(value))];
}

function members(value: unknown): [string, unknown][] {
  return Object.entries((value ?? {}) as Json);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A Named... message: map entries as ordered pairs. */
function named(number: number, name: string, value: readonly Buffer[]): Buffer {
  return message(number, [text(1, name), message(2, value)]);
}

function text(number: number, value: unknown): Buffer {
  if (value === undefined || value === '') return EMPTY;
  const bytes = Buffer.from(String(value));
  return Buffer.concat([tag(number, 2), varint(bytes.length), bytes]);
}

function flag(number: number, value: unknown): Buffer {
  return value === true ? Buffer.concat([tag(number, 0), varint(1)]) : EMPTY;
}

function message(number: number, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([tag(number, 2), varint(body.length), body]);
}

const EMPTY = Buffer.alloc(0);

function tag(number: number, wireType: number): Buffer {
  return varint(number * 8 + wireType);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest > 127) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Buffer.from([...bytes, rest]);
}
