// SPDX-License-Identifier: Apache-2.0

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rounds } from '#test/fixture/counts.ts';
import { covers, mergePatchTowards } from './subset.ts';

const objects = fc.dictionary(
  fc.constantFrom('a', 'b', 'c'),
  fc.letrec((tie) => ({
    value: fc.oneof(
      { depthSize: 'small' },
      fc.integer({ min: 0, max: 3 }),
      fc.constant(null),
      fc.array(tie('value'), { maxLength: 2 }),
      fc.dictionary(fc.constantFrom('a', 'b'), tie('value')),
    ),
  })).value,
  { noNullPrototype: true },
);

/** RFC 7386, as the server does it. */
function merge(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const isFields = typeof target === 'object' && target !== null && !Array.isArray(target);
  const result: Record<string, unknown> = isFields ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete result[name];
    else result[name] = merge(result[name], value);
  }
  return result;
}

test('after the patch the live object covers what was wanted', () => {
  fc.assert(
    fc.property(objects, objects, (live, wanted) => {
      const patch = mergePatchTowards(live, wanted);
      const after = patch === undefined ? live : merge(live, patch);
      // Merge patches cannot put null inside of a list's element away; nothing we apply has such.
      fc.pre(!JSON.stringify(wanted).includes('null'));
      expect(covers(after, wanted)).toBe(true);
    }),
    { seed: 7, numRuns: rounds(500) },
  );
});

test('an object covers itself, and the patch leaves members alone that nobody asked about', () => {
  expect(mergePatchTowards({ a: 1, b: { c: 2, d: [1, { e: 1, f: 2 }] } }, { b: { d: [1, { e: 1 }] } })).toBeUndefined();
  expect(mergePatchTowards({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 4 } })).toEqual({ b: { d: 4 } });
  expect(mergePatchTowards({ list: [{ a: 1, defaulted: true }] }, { list: [{ a: 1 }, { a: 2 }] })).toEqual({
    list: [{ a: 1 }, { a: 2 }],
  });
});

test('null means absent', () => {
  expect(mergePatchTowards({ a: 1 }, { a: null })).toEqual({ a: null });
  expect(mergePatchTowards({}, { a: null })).toBeUndefined();
});
