// SPDX-License-Identifier: Apache-2.0
// CEL as the API offers it, and the rules of custom resources in it.
import { describe, expect, test } from 'vitest';
import { celProblem, compileCel, createCelEnvironment, dynamicCelValue, firstLine } from './cel-environment.ts';
import { compileRules } from './cel-rules.ts';
import type { JsonSchema, ValidationRule } from './json-schema.ts';
import { validateAgainst } from './schema-validation.ts';

const environment = createCelEnvironment(['object']);
const POD = dynamicCelValue({ metadata: { labels: { a: 'b' } }, spec: { cpu: '1500m', ports: [80, 443], ratio: 0.5 } });

test.each([
  "quantity('1Gi').isGreaterThan(quantity('500Mi')) && quantity('1').compareTo(quantity('1000m')) == 0",
  "quantity(object.spec.cpu).add(quantity('500m')).asInteger() == 2 && quantity('3').sub(1).asInteger() == 2",
  "quantity('1.5').asApproximateFloat() == 1.5 && !quantity('1.5').isInteger() && quantity('-1').sign() == -1",
  "isQuantity('1Gi') && !isQuantity('1Zi')",
  "ip('10.1.2.3').family() == 4 && ip('::1').family() == 6 && ip('127.0.0.1').isLoopback() && isIP('::') && !isIP('1.2.3')",
  "ip('8.8.8.8').isGlobalUnicast() && !ip('169.254.1.1').isGlobalUnicast() && ip('fe80::1').isLinkLocalUnicast()",
  "cidr('10.0.0.0/8').containsIP('10.1.1.1') && !cidr('10.0.0.0/8').containsIP(ip('11.1.1.1'))",
  "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && !cidr('10.1.0.0/16').containsCIDR(cidr('10.0.0.0/8')) && cidr('10.0.0.0/8').prefixLength() == 8",
  "isURL('https://a.b:8080/x?y=1') && !isURL('../x') && url('https://a.b:8080/x?y=1&y=2').getHost() == 'a.b:8080'",
  "url('https://a.b:8080/x?y=1&y=2').getPort() == '8080' && url('/only/path').getEscapedPath() == '/only/path' && url('https://a/?y=1&y=2').getQuery()['y'] == ['1', '2']",
  'sets.contains([1, 2, 3], [3, 1]) && sets.intersects(object.spec.ports, [443]) && sets.equivalent([1, 1], [1])',
  "object.spec.ports.sum() == 523 && [3, 1, 2].min() == 1 && ['a', 'c'].max() == 'c' && [1, 2].isSorted() && ['a', 'b', 'a'].lastIndexOf('a') == 2",
  "'a1b22'.findAll('[0-9]+') == ['1', '22'] && 'a1b22'.find('[0-9]+') == '1' && 'aXbX'.replace('X', '-', 1) == 'a-bX'",
  "'%s is %d'.format(['a', 1]) == 'a is 1' && 'a-b'.split('-') == ['a', 'b'] && ['a', 'b'].join('/') == 'a/b'",
  "object.?spec.?missing.orValue('x') == 'x' && object.metadata.labels.exists(k, object.metadata.labels[k] == 'b')",
  'object.spec.ratio < 1.0 && object.spec.ports.all(p, p > 0)',
])('%s', (expression) => {
  expect(compileCel(expression, environment)({ object: POD })).toBe(true);
});

test.each([
  ['object.a +', 'Unexpected token'],
  ['objekt.a', 'Unknown variable: objekt'],
  ["ip('x', 'y')", 'found no matching overload'],
])('%s does not compile', (expression, why) => {
  expect(celProblem(expression, environment)).toContain(why);
});

test('what cannot be evaluated says so in one line', () => {
  const run = () => compileCel("quantity('1x').isInteger()", environment)({ object: POD });
  expect(run).toThrow();
  try {
    run();
  } catch (error) {
    expect(firstLine(error)).toMatch(/^quantities must match/);
  }
});

describe('rules of custom resources', () => {
  const apply = (schema: JsonSchema, now: unknown, old?: unknown) => {
    const root: JsonSchema = { type: 'object', properties: { spec: schema } };
    const wrap = (spec: unknown) => ({ apiVersion: 'g/v1', kind: 'K', metadata: {}, spec });
    const causes = compileRules(root)!.extend([], wrap(now), old === undefined ? undefined : wrap(old));
    return causes.map(({ field, message, reason }) => `${field}: ${message} (${reason})`);
  };
  const object = (properties: Record<string, JsonSchema>, ...rules: ValidationRule[]): JsonSchema => ({
    type: 'object',
    properties,
    'x-kubernetes-validations': rules,
  });
  const NUMBER: JsonSchema = { type: 'integer' };

  test('messageExpression, reason and fieldPath', () => {
    const schema = object(
      { a: NUMBER },
      {
        rule: 'self.a < 5',
        message: 'plain',
        messageExpression: "'a is ' + string(self.a)",
        reason: 'FieldValueForbidden',
        fieldPath: '.a',
      },
    );
    expect(apply(schema, { a: 7 })).toEqual(['spec.a: Invalid value: a is 7 (FieldValueForbidden)']);
    const failing = object({ a: NUMBER }, { rule: 'self.a < 5', message: 'plain', messageExpression: 'self.b' });
    expect(apply(failing, { a: 7 })).toEqual(['spec: Invalid value: plain (FieldValueInvalid)']);
  });

  test('oldSelf: only on a change; as an optional value also when there is none', () => {
    const grows = object({ a: NUMBER }, { rule: 'self.a >= oldSelf.a', message: 'may only grow' });
    expect(apply(grows, { a: 1 })).toEqual([]);
    expect(apply(grows, { a: 1 }, { a: 2 })).toEqual(['spec: Invalid value: may only grow (FieldValueInvalid)']);
    const optional = object(
      { a: NUMBER },
      {
        rule: 'oldSelf.hasValue() ? self.a == oldSelf.value().a : self.a == 1',
        message: 'starts at 1 and stays',
        optionalOldSelf: true,
      },
    );
    expect(apply(optional, { a: 1 })).toEqual([]);
    expect(apply(optional, { a: 2 })).toHaveLength(1);
    expect(apply(optional, { a: 2 }, { a: 2 })).toEqual([]);
    expect(apply(optional, { a: 3 }, { a: 2 })).toHaveLength(1);
  });

  test('times and durations are values; names that are no identifiers are written otherwise', () => {
    const schema = object(
      {
        from: { type: 'string', format: 'date-time' },
        wait: { type: 'string', format: 'duration' },
        'x-y': NUMBER,
        namespace: NUMBER,
      },
      { rule: "self.from + self.wait > timestamp('2024-01-01T00:00:30Z')" },
      { rule: 'self.x__dash__y + self.__namespace__ == 3' },
    );
    expect(apply(schema, { from: '2024-01-01T00:00:00Z', wait: '1m', 'x-y': 1, namespace: 2 })).toEqual([]);
    expect(apply(schema, { from: '2024-01-01T00:00:00Z', wait: '1s', 'x-y': 1, namespace: 2 })).toHaveLength(1);
  });

  test('items of list maps have a former self by their keys', () => {
    const list: JsonSchema = {
      type: 'array',
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['n'],
      items: object({ n: { type: 'string' }, v: NUMBER }, { rule: 'self.v == oldSelf.v', message: 'fixed' }),
    };
    const old = [
      { n: 'a', v: 1 },
      { n: 'b', v: 2 },
    ];
    expect(
      apply(
        list,
        [
          { n: 'b', v: 2 },
          { n: 'c', v: 3 },
          { n: 'a', v: 9 },
        ],
        old,
      ),
    ).toEqual(['spec[2]: Invalid value: fixed (FieldValueInvalid)']);
  });

  test('what an update leaves alone is not judged anew', () => {
    const part = object({ a: NUMBER }, { rule: 'self.a < 5', message: 'too much' });
    const schema: JsonSchema = { type: 'object', properties: { x: part, y: part } };
    expect(apply(schema, { x: { a: 9 }, y: { a: 9 } }, { x: { a: 9 }, y: { a: 1 } })).toEqual([
      'spec.y: Invalid value: too much (FieldValueInvalid)',
    ]);
    const stricter: JsonSchema = {
      type: 'object',
      required: ['c'],
      properties: { a: { type: 'string', maxLength: 2 }, b: { type: 'string', maxLength: 2 } },
    };
    const fields = (now: object, old?: object) => validateAgainst(now, stricter, 'spec', old).map(({ field }) => field);
    expect(fields({ a: 'long', b: 'long', c: 1 }, { a: 'long', b: 'ok' })).toEqual(['spec.b']);
    expect(fields({ a: 'long' }, { a: 'long', b: 'ok' })).toEqual(['spec.c']);
    expect(fields({ a: 'long' }, { a: 'long' })).toEqual([]);
  });
});
