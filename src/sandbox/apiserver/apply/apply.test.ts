// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { builtinType, loadBuiltinTypes } from '../schema/builtin.ts';
import { FieldSet, pathText } from './field-set.ts';
import { compareValues, fieldSetOf, mergeValues, removeFields } from './typed-value.ts';

const pod = builtinType(loadBuiltinTypes(), 'core.v1.Pod');
const container = (name: string, rest: object = {}) => ({ name, image: `${name}:1`, ...rest });
const podOf = (...containers: object[]) => ({ spec: { containers } });

test('fields of a value: leaves, list items by their keys, atomic lists as a whole', () => {
  const value = {
    metadata: { labels: { app: 'x' } },
    spec: {
      containers: [container('c', { ports: [{ containerPort: 80 }] })],
      tolerations: [{ key: 'k' }],
      securityContext: {},
    },
  };
  expect(fieldSetOf(value, pod).toJson()).toEqual({
    'f:metadata': { 'f:labels': { 'f:app': {} } },
    'f:spec': {
      'f:containers': {
        'k:{"name":"c"}': {
          '.': {},
          'f:image': {},
          'f:name': {},
          'f:ports': { 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {} } },
        },
      },
      'f:securityContext': {},
      'f:tolerations': {},
    },
  });
});

test('what changed between two values', () => {
  const { added, modified, removed } = compareValues(
    podOf(container('a'), container('b')),
    podOf({ ...container('a'), image: 'new' }, container('c')),
    pod,
  );
  expect([...modified.paths()].map(pathText)).toEqual(['.spec.containers[name="a"].image']);
  expect([...added.paths()].map(pathText)).toContain('.spec.containers[name="c"]');
  expect([...removed.paths()].map(pathText)).toContain('.spec.containers[name="b"].image');
});

test('merging keeps what only the base has, in its place', () => {
  const merged = mergeValues(
    podOf(container('a'), container('b'), container('c')),
    podOf({ name: 'c', image: 'x' }, { name: 'd' }),
    pod,
  ) as ReturnType<typeof podOf>;
  expect(merged.spec.containers).toEqual([container('a'), container('b'), { name: 'c', image: 'x' }, { name: 'd' }]);
});

test('removing fields removes what becomes empty', () => {
  const set = fieldSetOf(podOf(container('a')), pod);
  expect(removeFields(podOf(container('a')), set, pod)).toBeUndefined();
});

test('two items of one name are refused', () => {
  expect(() => fieldSetOf(podOf(container('a', { env: [{ name: 'A' }, { name: 'A' }] })), pod)).toThrow(
    '.spec.containers[name="a"].env: duplicate entries for key [name="A"]',
  );
});

const element = fc.constantFrom('f:a', 'f:b', 'k:{"name":"x"}', 'v:"y"');
const sets = fc
  .array(fc.array(element, { minLength: 1, maxLength: 3 }), { maxLength: 6 })
  .map((paths) => FieldSet.fromPaths(paths));

test('field sets obey the laws of sets and survive JSON', () => {
  fc.assert(
    fc.property(sets, sets, (a, b) => {
      expect(FieldSet.fromJson(JSON.parse(JSON.stringify(a.toJson()))).equals(a)).toBe(true);
      expect(a.union(b).equals(b.union(a))).toBe(true);
      expect(a.difference(b).union(a.intersection(b)).equals(a)).toBe(true);
      expect(a.intersection(a).equals(a)).toBe(true);
      expect(a.difference(a).isEmpty).toBe(true);
    }),
    { seed: 4711, numRuns: rounds(300) },
  );
});

test('a merge keeps every field of what is laid over', () => {
  const pods = fc
    .uniqueArray(fc.constantFrom('a', 'b', 'c', 'd'), { maxLength: 4 })
    .chain((names) =>
      fc
        .array(fc.integer({ min: 1, max: 3 }), { minLength: names.length, maxLength: names.length })
        .map((tags) => podOf(...names.map((name, i) => ({ name, image: `i:${tags[i]}` })))),
    );
  fc.assert(
    fc.property(pods, pods, (base, over) => {
      const merged = mergeValues(base, over, pod);
      const lost = fieldSetOf(over, pod).difference(fieldSetOf(merged, pod));
      expect(lost.isEmpty).toBe(true);
      const { modified } = compareValues(over, merged, pod);
      expect(modified.isEmpty).toBe(true);
    }),
    { seed: 4711, numRuns: rounds(300) },
  );
});
