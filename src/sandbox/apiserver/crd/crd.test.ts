// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { builtinType, loadBuiltinTypes } from '../schema/builtin.ts';
import { compileRules } from './cel-rules.ts';
import { compareVersions } from './definition.ts';
import { compileJsonPath } from './json-path.ts';
import type { JsonSchema } from './json-schema.ts';
import { applyDefaults, pruneCustom } from './prune.ts';
import { customRootNode } from './schema-node.ts';
import { validateAgainst, validateListTypes } from './schema-validation.ts';

const causes = (value: unknown, schema: JsonSchema) =>
  validateAgainst(value, schema, 'spec').map(({ field, message }) => `${field}: ${message}`);

test.each<[unknown, JsonSchema, string]>([
  ['x', { type: 'integer' }, 'spec: Invalid value: "string": spec in body must be of type integer: "string"'],
  [1.5, { type: 'integer' }, 'spec: Invalid value: "number": spec in body must be of type integer: "number"'],
  [
    true,
    { 'x-kubernetes-int-or-string': true },
    'spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean"',
  ],
  ['c', { type: 'string', enum: ['a', 'b'] }, 'spec: Unsupported value: "c": supported values: "a", "b"'],
  ['abc', { type: 'string', maxLength: 2 }, 'spec: Too long: may not be more than 2 bytes'],
  ['b', { type: 'string', pattern: '^a' }, `spec: Invalid value: "b": spec in body should match '^a'`],
  [5, { type: 'integer', maximum: 4 }, 'spec: Invalid value: 5: spec in body should be less than or equal to 4'],
  [[1, 2, 3], { type: 'array', maxItems: 2 }, 'spec: Too many: 3: must have at most 2 items'],
  [{}, { type: 'object', required: ['a'] }, 'spec.a: Required value'],
  [
    { a: { b: 'x' } },
    { type: 'object', properties: { a: { type: 'object', properties: { b: { type: 'boolean' } } } } },
    'spec.a.b: Invalid value: "string": spec.a.b in body must be of type boolean: "string"',
  ],
  [
    [{ n: 'x' }],
    { type: 'array', items: { type: 'object', properties: { n: { type: 'integer' } } } },
    'spec[0].n: Invalid value: "string": spec[0].n in body must be of type integer: "string"',
  ],
  [
    { a: 1, b: 2 },
    { type: 'object', oneOf: [{ required: ['a'] }, { required: ['b'] }] },
    'spec: Invalid value: "": spec in body must validate one and only one schema (oneOf). Found 2 valid alternatives',
  ],
])('%j against %j', (value, schema, expected) => {
  expect(causes(value, schema)).toEqual([expected]);
});

test('what fits has no causes', () => {
  expect(causes('5s', { type: 'string', format: 'duration' })).toEqual([]);
  expect(causes(null, { type: 'string', nullable: true })).toEqual([]);
  expect(causes({ constructor: 'x' }, { type: 'object', additionalProperties: { type: 'string' } })).toEqual([]);
});

test('items of a list map must differ in their keys', () => {
  const schema: JsonSchema = {
    type: 'array',
    'x-kubernetes-list-type': 'map',
    'x-kubernetes-list-map-keys': ['n'],
    items: { type: 'object' },
  };
  expect(validateListTypes([{ n: 1 }, { n: 2 }, { n: 1, x: 1 }], schema, 'l')).toMatchObject([
    { field: 'l[2]', message: 'Duplicate value: {"n":1}' },
  ]);
});

const SCHEMA: JsonSchema = {
  type: 'object',
  properties: {
    spec: {
      type: 'object',
      properties: {
        a: { type: 'integer', default: 1 },
        open: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        list: { type: 'array', items: { type: 'object', properties: { b: { type: 'string', default: 'z' } } } },
      },
    },
  },
};

test('pruning drops and names what the schema lacks; defaults fill in the rest', () => {
  const metadata = builtinType(loadBuiltinTypes(), 'meta.v1.ObjectMeta');
  const raw = {
    apiVersion: 'g/v1',
    kind: 'K',
    metadata: { name: 'x', bogus: 1 },
    spec: { extra: 1, open: { kept: 1 }, list: [{ c: 1 }] },
  };
  const { value, unknownFields } = pruneCustom(raw, customRootNode(SCHEMA, 'K', metadata), metadata);
  expect(unknownFields).toEqual(['metadata.bogus', 'spec.extra', 'spec.list[0].c']);
  applyDefaults(value, SCHEMA);
  expect(value['spec']).toEqual({ a: 1, open: { kept: 1 }, list: [{ b: 'z' }] });
});

test('CEL rules: on the value, on its change, only when the schema is met', () => {
  const schema: JsonSchema = {
    type: 'object',
    properties: {
      spec: {
        type: 'object',
        properties: {
          min: { type: 'integer' },
          max: { type: 'integer' },
          name: {
            type: 'string',
            'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'name is immutable' }],
          },
        },
        'x-kubernetes-validations': [{ rule: 'self.min <= self.max', message: 'min must not exceed max' }],
      },
    },
  };
  const rules = compileRules(schema)!;
  const object = (spec: object) => ({ apiVersion: 'g/v1', kind: 'K', metadata: {}, spec });
  expect(rules.extend([], object({ min: 1, max: 2, name: 'a' }), undefined)).toEqual([]);
  expect(rules.extend([], object({ min: 3, max: 2 }), undefined)).toMatchObject([
    { field: 'spec', message: 'Invalid value: min must not exceed max' },
  ]);
  expect(rules.extend([], object({ min: 1, max: 2, name: 'b' }), object({ name: 'a' }))).toMatchObject([
    { field: 'spec.name', message: 'Invalid value: "b": name is immutable' },
  ]);
  const wrong = { reason: 'FieldValueRequired', field: 'spec.x', message: 'Required value' };
  expect(rules.extend([wrong], object({}), undefined)).toHaveLength(2);
});

test.each([
  ['.spec.a', ['1']],
  ["{.spec['b']}", ['2']],
  ['.list[1].n', ['y']],
  ['.list[*].n', ['x', 'y']],
  ['.spec.example\\.com/c', ['5']],
  ['.list[?(@.n=="y")].v', ['4']],
  ['.spec.missing.deep', []],
])('JSON path %s', (path, expected) => {
  const object = {
    spec: { a: 1, b: 2, 'example.com/c': 5 },
    list: [
      { n: 'x', v: 3 },
      { n: 'y', v: 4 },
    ],
  };
  expect(compileJsonPath(path)?.(object).map(String)).toEqual(expected);
});

test('versions: stable before beta before alpha, newer before older', () => {
  expect(['v1alpha1', 'foo', 'v1', 'v2beta1', 'v10', 'v2', 'v1beta2'].sort(compareVersions)).toEqual([
    'v10',
    'v2',
    'v1',
    'v2beta1',
    'v1beta2',
    'v1alpha1',
    'foo',
  ]);
});
