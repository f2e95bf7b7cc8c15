// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { NO_OFFER, TypeState } from './type-state.ts';
import { VIRTUAL_HOST_TYPE } from './type-urls.ts';
import { VirtualHostAsks } from './virtual-host-asks.ts';

test('names that somebody makes up are all answered, and only so many and so long ones are remembered', () => {
  const state = new TypeState(VIRTUAL_HOST_TYPE, { resources: new Map(), offer: NO_OFFER, kept: undefined });
  const asks = new VirtualHostAsks();
  const long = `80/${'a'.repeat(10_000)}`;
  asks.subscribe(state, [long, '80/made.up']);
  expect(asks.remembered).toBe(1);
  expect(asks.take([], []).named.flatMap(({ asked }) => asked)).toEqual([long, '80/made.up']);
  asks.subscribe(
    state,
    Array.from({ length: 20_000 }, (_, i) => `80/made-${i}.up`),
  );
  expect(asks.remembered).toBe(10_000);
  expect(asks.take([], []).named).toHaveLength(20_000);
});
