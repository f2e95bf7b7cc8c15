// SPDX-License-Identifier: Apache-2.0
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { type HeaderMatcher, HeaderMatcherSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { type Decide, explore } from './worlds.ts';

type Pattern = { exact: string } | { prefix: string } | { regex: string } | 'present';

function on(name: string, pattern: Pattern, invertMatch = false): HeaderMatcher {
  if (pattern === 'present')
    return create(HeaderMatcherSchema, {
      name,
      invertMatch,
      headerMatchSpecifier: { case: 'presentMatch', value: true },
    });
  const matchPattern =
    'exact' in pattern
      ? { case: 'exact' as const, value: pattern.exact }
      : 'prefix' in pattern
        ? { case: 'prefix' as const, value: pattern.prefix }
        : { case: 'safeRegex' as const, value: { regex: pattern.regex } };
  const headerMatchSpecifier = { case: 'stringMatch' as const, value: { matchPattern } };
  return create(HeaderMatcherSchema, { name, invertMatch, headerMatchSpecifier });
}

/** The first rule whose conditions all hold. */
const routes =
  (...rules: readonly (readonly [string, ...HeaderMatcher[]])[]) =>
  (decide: Decide): string =>
    rules.find(([, ...conditions]) => conditions.every((each) => decide(each) ?? true))?.[0] ?? 'none';

const answers = (look: (decide: Decide) => string, known: readonly string[] = []) => {
  const worlds = explore((name) => known.includes(name), look);
  return worlds && { ...worlds, found: [...new Set(worlds.found)].sort() };
};

test('without a condition on an unknown header there is one world', () => {
  const look = routes(['v2', on('End-User', { exact: 'jason' })], ['v1']);
  expect(answers(look, ['end-user'])).toEqual({ found: ['v2'], asked: [], known: ['end-user'] });
  expect(answers(routes(['v1', on(':method', { exact: 'GET' })]))).toMatchObject({ asked: [] });
});

test('an unknown header opens every way that its values can take, and no other', () => {
  expect(answers(routes(['v2', on('End-User', { exact: 'jason' })], ['v1']))).toEqual({
    found: ['v1', 'v2'],
    asked: ['end-user'],
    known: [],
  });
  // Nobody is both: the second rule is never reached by what is no prefix of the first.
  const both = routes(
    ['a', on('x', { prefix: 'ab' })],
    ['never', on('x', { exact: 'abc' })],
    ['b', on('x', 'present')],
    ['never', on('x', 'present', true), on('x', { regex: '.+' })],
    ['absent'],
  );
  expect(answers(both)?.found).toEqual(['a', 'absent', 'b']);
});

test('a longer value than a prefix, and what a regular expression may hold of', () => {
  const longer = routes(['exact', on('x', { exact: 'ab' })], ['longer', on('x', { prefix: 'ab' })], ['else']);
  expect(answers(longer)?.found).toEqual(['else', 'exact', 'longer']);
  const regex = routes(['r', on('x', { regex: 'j.*' })], ['j', on('x', { exact: 'jason' })], ['else']);
  // jason is taken by the expression.
  expect(answers(regex)?.found).toEqual(['else', 'r']);
});

test('headers multiply, and too many worlds are none', () => {
  const two = routes(
    ['ab', on('a', 'present'), on('b', 'present')],
    ['a', on('a', 'present')],
    ['b', on('b', 'present')],
  );
  expect(answers(two)).toMatchObject({ found: ['a', 'ab', 'b', 'none'], asked: ['a', 'b'] });
  const many = Array.from({ length: 12 }, (_, i) => [`r${i}`, on(`h${i}`, 'present')] as const);
  expect(explore(() => false, routes(...many))).toBeUndefined();
});
