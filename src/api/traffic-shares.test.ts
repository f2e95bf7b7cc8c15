// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import { parseTraffic } from './traffic-shares.ts';

describe('parseTraffic', () => {
  it.each([
    ['local-first', { kind: 'local-first' }],
    [' spread ', { kind: 'spread' }],
    ['b=30,a=70', { kind: 'shares', shares: { a: 70, b: 30 } }],
    ['a = 70% , b=30%', { kind: 'shares', shares: { a: 70, b: 30 } }],
    ['a=100, b=0', { kind: 'shares', shares: { a: 100, b: 0 } }],
  ])('%s', (text, value) => {
    expect(parseTraffic(text)).toEqual({ ok: true, value });
  });

  it.each([
    ['', 'no way to divide'],
    ['local', 'no way to divide'],
    ['a=70,b=20', 'add up to 90'],
    ['a=70,a=30', 'a has two shares'],
    ['a=70,b', '"b" is not a cluster and its share'],
    ['a=70,b=-1', '"b=-1" is not'],
    ['a=1000', '"a=1000" is not'],
    ['a=70,,b=30', '"" is not'],
    ['a b=100', '"a b=100" is not'],
  ])('refuses %j', (text, fault) => {
    const parsed = parseTraffic(text);
    expect(parsed).toMatchObject({ ok: false, fault: expect.stringContaining(fault) });
    expect(parsed).toMatchObject({ cure: expect.stringMatching(/write|give|make/) });
  });

  it('gives the same shares in whatever order they are written', () => {
    expect(JSON.stringify(parseTraffic('b=30,a=70'))).toBe(JSON.stringify(parseTraffic('a=70,b=30')));
  });
});
