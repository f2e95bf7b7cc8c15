// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { assign, parseSet, type RawTree } from './helm-set.ts';
import { ValuesError } from './values-error.ts';

function treeOf(...flags: string[]): RawTree {
  const tree: RawTree = {};
  for (const flag of flags) for (const assignment of parseSet(flag)) assign(tree, assignment);
  return tree;
}

// What Helm's own strvals makes of each.
describe('--set is read as Helm reads it', () => {
  test.each<[flag: string, tree: RawTree]>([
    ['a=b', { a: 'b' }],
    ['a.b.c=d', { a: { b: { c: 'd' } } }],
    ['a=1,b.c=2', { a: 1, b: { c: 2 } }],
    ['a=1,', { a: 1 }],
    ['a=', { a: '' }],
    ['a=,b=x', { a: '', b: 'x' }],
    ['a=b=c', { a: 'b=c' }],
    ['a=true,b=false,c=null,d=0,e=-7', { a: true, b: false, c: null, d: 0, e: -7 }],
    ['a=007,b=1.10,c=1e3,d=99999999999999999999', { a: '007', b: '1.10', c: '1e3', d: '99999999999999999999' }],
    ['a="b"', { a: '"b"' }],
    ['a= b c ', { a: ' b c ' }],
    ['a={b,c,1}', { a: ['b', 'c', 1] }],
    ['a={},b=1', { a: [], b: 1 }],
    ['a={b\\,c,d}', { a: ['b,c', 'd'] }],
    ['a[0]=x,a[2]=z', { a: ['x', null, 'z'] }],
    ['a[0].b.c=1,a[0].d=2', { a: [{ b: { c: 1 }, d: 2 }] }],
    ['a[0][1]=x', { a: [[null, 'x']] }],
    ['a\\.b.c=1', { 'a.b': { c: 1 } }],
    ['a=b\\,c\\=d\\\\e', { a: 'b,c=d\\e' }],
    ['a\\[0\\]=1', { 'a[0]': 1 }],
  ])('%s', (flag, tree) => {
    expect(treeOf(flag)).toEqual(tree);
  });

  test('later flags go into the lists and groups of earlier ones, and replace anything else', () => {
    expect(treeOf('n.gw[0].address=0.0.0.0', 'n.gw[0].port=443')).toEqual({
      n: { gw: [{ address: '0.0.0.0', port: 443 }] },
    });
    expect(treeOf('a=1', 'a.b=2')).toEqual({ a: { b: 2 } });
    expect(treeOf('a.b=2', 'a=1')).toEqual({ a: 1 });
  });

  test('--set-string takes every value as text', () => {
    expect(parseSet('a=1,b=true,c=null', true).map(({ value }) => value)).toEqual(['1', 'true', 'null']);
  });
});

test.each([
  ['a', '"a" has no value'],
  ['a,b=1', '"a" has no value'],
  ['=1', 'a name is empty'],
  ['a..b=1', 'a name is empty'],
  ['a[0].=1', 'a name is empty'],
  ['a[x]=1', 'an index is written as [0]'],
  ['a[-1]=1', 'an index is written as [0]'],
  ['a[0=1', 'an index is written as [0]'],
  ['a[70000]=1', 'above 65536'],
  ['a[0]b=1', 'after [0] comes'],
  ['a={b', 'the "}" is missing'],
  ['a={b}c=1', 'after a list comes ","'],
  ['a.__proto__.b=1', '"__proto__" cannot be a name'],
])('%s is refused: %s', (flag, reason) => {
  expect(() => parseSet(flag)).toThrow(ValuesError);
  expect(() => parseSet(flag)).toThrow(`--set ${flag}: `);
  expect(() => parseSet(flag)).toThrow(reason);
});
