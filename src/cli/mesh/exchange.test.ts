// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { Exchange } from './exchange.ts';

test('a value reaches whoever waits, before and after it is offered', async () => {
  const exchange = new Exchange();
  const early = exchange.wait('a', 'address');
  exchange.offer('a', 'address', '10.0.0.1');
  expect(await early).toBe('10.0.0.1');
  expect(await exchange.wait('a', 'address')).toBe('10.0.0.1');
});

test('who fails keeps nobody waiting, and takes back nothing', async () => {
  const exchange = new Exchange();
  exchange.offer('a', 'token', 't');
  const waiting = exchange.wait('a', 'address');
  exchange.giveUp('a', new Error('gone'));
  await expect(waiting).rejects.toThrow('gone');
  await expect(exchange.wait('a', 'later')).rejects.toThrow('gone');
  expect(await exchange.wait('a', 'token')).toBe('t');
  exchange.fail('b', 'token', new Error('no token'));
  exchange.offer('b', 'address', 'x');
  await expect(exchange.wait('b', 'token')).rejects.toThrow('no token');
  expect(await exchange.wait('b', 'address')).toBe('x');
});
