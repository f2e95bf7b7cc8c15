// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { ClaimedNetworks } from './claimed-networks.ts';

test('of one namespace a few answers are taken, again and again; others in an hour', () => {
  let nowMs = 0;
  const networks = new ClaimedNetworks(() => nowMs, { answers: 3, rememberedMs: 1000 });
  const say = (network: string, namespace = 'shop') =>
    networks.take('c1', { namespace, network, requestedNetworks: [] });
  for (const network of ['', 'a', 'b', 'a', 'b', '']) say(network);
  expect(() => say('c')).toThrow('proxies of namespace shop named 3 different NETWORKs');
  expect(() => networks.take('c1', { namespace: 'shop', network: 'a', requestedNetworks: ['b'] })).toThrow('no more');
  say('c', 'other');
  nowMs = 900;
  say('a');
  nowMs = 1500;
  say('c');
  say('d');
  expect(() => say('e')).toThrow('no more are taken');
});
