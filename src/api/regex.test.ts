// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { faultOfRegex, groupCount, replaceMatches, toJavaScript } from './regex.ts';

test.each([
  'a',
  '.*',
  '(?i)abc',
  '(?P<n>a)b',
  '[[:alpha:]]+',
  '\\d{1,3}',
  '\\Qa.b\\E',
  'a|',
  '[a-z]{1,63}(\\.[a-z]{1,63}){1,5}',
  '\\x{263a}',
  '\\pL+',
  '\\p{^Greek}\\PL\\p{Any}',
  '\\x41\\\\xZZ',
])('RE2 takes %s', (source) => {
  expect(faultOfRegex(source)).toBeUndefined();
});

test.each([
  '(?!a)',
  '(?<=a)b',
  '\\1',
  'a**',
  '(',
  '[',
  '[z-a]',
  'a{1001}',
  '\\y',
  '*a',
  '[[:nothing:]]',
  '(((a{50}){50}){50}){50}',
  '\\pX',
  '\\p{Foo}',
  '\\p',
  '\\xZZ',
  '\\x{110000}',
])('RE2 refuses %s', (source) => {
  expect(faultOfRegex(source)).toEqual(expect.any(String));
});

test.each([
  ['a|b', 'ab', false],
  ['a|b', 'b', true],
  ['(?i)ABC', 'abc', true],
  ['/api/.*', '/api/', true],
  ['/api/.*', '/v/api/', false],
  ['\\Qa.b\\E', 'a.b', true],
  ['\\Qa.b\\E', 'axb', false],
  ['[[:digit:]]+', '123', true],
  ['a.b', 'a\nb', false],
  ['(?s)a.b', 'a\nb', true],
  ['a(?i)b|c', 'aB', true],
  ['a(?i)b|c', 'AB', false],
  ['a(?i)b|c', 'C', true],
  ['x(?i:y)z', 'xYz', true],
  ['x(?i:y)z', 'xYZ', false],
  ['^*a$+', 'a', true],
  ['\\p{^Lu}+', 'abc1', true],
  ['[^\\d\\s]+', 'a1', false],
])('%s against all of %s', (source, value, expected) => {
  expect(toJavaScript(source).test(value)).toBe(expected);
});

test('groups are counted, but for those that capture nothing', () => {
  expect(groupCount('(a)(?:b)(?P<c>d)\\([(]')).toBe(2);
});

test.each([
  ['/api/v1', '^/(api)/', '/\\1-\\0', '/api-/api/v1'],
  ['/a/b', '/v([0-9])', '/x', '/a/b'],
  ['/v1', '/v([0-9])', '/\\\\\\1', '/\\1'],
  // Where one match ends no empty one begins.
  ['//x', '(/?)x*', '\\1y', '/y/y'],
  ['aab', 'a*', '<\\0>', '<aa>b<>'],
])('matches in %s of %s by %s', (text, source, rewrite, expected) => {
  expect(replaceMatches(text, source, rewrite)).toBe(expected);
});
