// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { ApiError } from '../status.ts';
import { parseFieldSelector } from './field-selector.ts';
import { parseLabelSelector, selectorFromSpec } from './label-selector.ts';

const LABELS = { app: 'web', tier: '3', 'example.com/zone': 'a' };

test.each([
  ['app=web', true],
  ['app==web', true],
  ['app = web', true],
  ['app!=web', false],
  ['app!=db', true],
  ['missing!=x', true],
  ['app in (web,db)', true],
  ['app notin (web)', false],
  ['missing notin (web)', true],
  ['app', true],
  ['!app', false],
  ['!missing', true],
  ['tier>2', true],
  ['tier<3', false],
  ['app>2', false],
  ['app=web,tier=3,example.com/zone=a', true],
  ['app=web,tier=4', false],
  ['missing=', false],
  ['', true],
])('label selector %s: %s', (text, expected) => {
  expect(parseLabelSelector(text).matches(LABELS)).toBe(expected);
});

test.each([
  ['app in x', "unable to parse requirement: found 'x' expected: '('"],
  ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
  ['app=bad value!', "found 'value', expected: ',' or 'end of string'"],
  ['a===b', "unable to parse requirement: found '=', expected: identifier"],
  ['a>x', "values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer"],
])('label selector %s is refused', (text, message) => {
  expect(() => parseLabelSelector(text)).toThrow(new ApiError(400, 'BadRequest', message));
});

test('an empty selector of a spec selects everything, an absent one nothing', () => {
  expect(selectorFromSpec({}).matches({})).toBe(true);
  expect(selectorFromSpec(undefined).matches(LABELS)).toBe(false);
  const spec = { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'tier', operator: 'In', values: ['3'] }] };
  expect(selectorFromSpec(spec).matches(LABELS)).toBe(true);
  expect(selectorFromSpec({ matchExpressions: [{ key: 'app', operator: 'DoesNotExist' }] }).matches(LABELS)).toBe(
    false,
  );
});

const FIELDS = {
  fields: { 'metadata.name': (o: KubeObject) => o.metadata.name ?? '', phase: (o: KubeObject) => String(o['phase']) },
  terse: false,
};
const POD: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p,1' }, phase: 'Running' };

test('field selectors compare, negate and unescape', () => {
  expect(parseFieldSelector('metadata.name=p\\,1,phase!=Failed', FIELDS).matches(POD)).toBe(true);
  expect(parseFieldSelector('phase==Failed', FIELDS).matches(POD)).toBe(false);
  expect(parseFieldSelector('metadata.name=x', FIELDS).exactName).toBe('x');
});

test('field selectors refuse what cannot be selected', () => {
  expect(() => parseFieldSelector('data.a=1', FIELDS)).toThrow(
    '"data.a" is not a known field selector: only "metadata.name", "phase"',
  );
  expect(() => parseFieldSelector('data.a=1', { ...FIELDS, terse: true })).toThrow('field label not supported: data.a');
  expect(() => parseFieldSelector('a==b==c', FIELDS)).toThrow(
    'invalid field selector: unescaped character in value: 61',
  );
});
