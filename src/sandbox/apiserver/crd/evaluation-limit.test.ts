// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { compileCel, createCelEnvironment, dynamicCelValue } from './cel-environment.ts';
import { buildCustomDefinition, type CrdObject } from './definition.ts';
import { EvaluationTooLong, evaluateWithin } from './evaluation-limit.ts';
import type { JsonSchema } from './json-schema.ts';

const NESTED = 'abcdefgh'.split('').reduceRight((inner, name) => `self.xs.all(${name}, ${inner})`, 'a < 100');
const XS = Array.from({ length: 100 }, (_, index) => index);
const BACKTRACKING = '^(a+)+$';

test('loops within loops, and patterns that try all ways, are ended; the next evaluation is not', () => {
  const program = compileCel(NESTED, createCelEnvironment(['self']));
  const self = dynamicCelValue({ xs: XS });
  expect(() => evaluateWithin(() => program({ self }), 50)).toThrow(EvaluationTooLong);
  expect(() => evaluateWithin(() => new RegExp(BACKTRACKING).test(`${'a'.repeat(60)}b`), 50)).toThrow(
    EvaluationTooLong,
  );
  expect(evaluateWithin(() => evaluateWithin(() => 'inner'))).toBe('inner');
});

test('what an evaluation throws is thrown', () => {
  const evaluate = () => {
    throw new RangeError('no such key');
  };
  expect(() => evaluateWithin(evaluate)).toThrow(RangeError);
});

test('a custom resource whose rules take for ever is refused', () => {
  const spec: JsonSchema = {
    type: 'object',
    properties: { xs: { type: 'array', items: { type: 'integer' } } },
    'x-kubernetes-validations': [{ rule: NESTED }],
  };
  const crd: CrdObject = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'bombs.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'bombs', kind: 'Bomb' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec } } },
        },
      ],
    },
  };
  const { served } = buildCustomDefinition(crd, { kind: 'object', fields: new Map() } as never);
  const bomb = { apiVersion: 'example.com/v1', kind: 'Bomb', metadata: { name: 'b' }, spec: { xs: XS } };
  expect(served[0]?.validateSchema?.(bomb, undefined)).toMatchObject([
    { reason: 'FieldValueForbidden', message: expect.stringContaining('cost budget') as string },
  ]);
}, 30_000);
