// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { RecentValues } from './recent-values.ts';

test('names that come and go do not pile up, and those that are asked for stay', () => {
  const values = new RecentValues<object>();
  const stays = values.get('stays', () => ({}));
  let most = 0;
  for (let i = 0; i < 2000; i++) {
    values.turn();
    values.get(`went ${i}`, () => ({}));
    expect(values.get('stays', () => ({}))).toBe(stays);
    most = Math.max(most, values.size);
  }
  expect(most).toBeLessThan(50);
});

test('however many there are, none is forgotten while it is asked for', () => {
  const values = new RecentValues<object>();
  const names = Array.from({ length: 1000 }, (_, i) => `${i}`);
  const made = names.map((name) => values.get(name, () => ({})));
  for (let i = 0; i < 100; i++) {
    values.turn();
    values.get(`went ${i}`, () => ({}));
    expect(names.every((name, at) => values.get(name, () => ({})) === made[at])).toBe(true);
  }
});
