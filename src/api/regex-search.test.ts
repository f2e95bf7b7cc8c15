// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { faultOfRegex, toJavaScript } from './regex.ts';
import { searchFor } from './regex-search.ts';

// Without `(?i)`: in loops, V8 has it last longer than its group.
const piece = fc.constantFrom('a', '[ab]', '.', '\\d', '[^a\\d]', '\\b', '^', '$', '(?m:^b)', '[[:alpha:]]', '\\.');
const times = fc.constantFrom('', '', '*', '+', '?', '{2}', '{1,3}', '{2,}', '*?');
const expression = fc.letrec((tie) => ({
  part: fc.tuple(fc.oneof({ maxDepth: 2 }, piece, tie('group')), times).map(([atom, often]) => `${atom}${often}`),
  sequence: fc.array(tie('part'), { maxLength: 3 }).map((parts) => parts.join('')),
  choice: fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((parts) => parts.join('|')),
  group: tie('choice').map((inner) => `(${inner})`),
})).choice as fc.Arbitrary<string>;
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'B', '1', '.', '\n'), maxLength: 6 });

test('finds what JavaScript finds', () => {
  let found = 0;
  fc.assert(
    fc.property(expression, text, (source, subject) => {
      fc.pre(faultOfRegex(source) === undefined);
      const whole = toJavaScript(source).source;
      const expected = new RegExp(whole.slice(1, -1), 'v').test(subject);
      if (expected) found++;
      expect(searchFor(source)(subject)).toBe(expected);
    }),
    { numRuns: 2_000, seed: 20260104 },
  );
  expect(found).toBeGreaterThan(200);
});

test.each([
  ['^1\\.2[0-9]', '1.24.0', true],
  ['1\\.9.*|^2', '1.24.0', false],
  ['(?i)RC(?-i:x)', '2.0-rcx', true],
  ['(?i)RC(?-i:x)', '2.0-rcX', false],
  ['((?i)b)[ab]', 'Bb', true],
  ['((?i)b)[ab]', 'bB', false],
  ['', '', true],
])('%s in %s: %s', (source, subject, expected) => {
  expect(searchFor(source)(subject)).toBe(expected);
});

test.each(['^(a+)+$', '^(a|a)*$', `^${'(a|a)'.repeat(60)}$`, '^(.*.*)*b$', `^${'a?'.repeat(64)}${'a'.repeat(64)}!$`])(
  'comes back from %s',
  (source) => {
    expect(searchFor(source)(`${'a'.repeat(64)}?`)).toBe(false);
  },
);
