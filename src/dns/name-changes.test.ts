// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { GlobalNames } from './global-names.ts';
import { describeChanges } from './name-changes.ts';

const names = (given: Readonly<Record<string, readonly string[]>>): GlobalNames =>
  new Map(Object.entries(given).map(([name, addresses]) => [name, { addresses, serviceEntry: `ns/${name}` }]));
const told = (before: GlobalNames, after: GlobalNames) =>
  describeChanges(before, after).map(({ level, message }) => `${level} ${message}`);

test('a name that comes, moves, loses its address and goes, each with what is left', () => {
  const none = names({});
  const first = names({ 'a.x.global': ['127.255.0.2'] });
  const moved = names({ 'a.x.global': ['240.0.0.2', '240.0.0.3'] });
  expect(told(none, first)).toEqual(['info a.x.global is 127.255.0.2', 'info 1 name: a.x.global']);
  expect(told(first, moved)).toEqual([
    'info a.x.global is 240.0.0.2, 240.0.0.3, was 127.255.0.2',
    'info 1 name: a.x.global',
  ]);
  const nowhere = names({ 'a.x.global': [] });
  expect(told(moved, nowhere)[0]).toBe(
    'warn a.x.global has no single address: its ServiceEntry needs one in `addresses`',
  );
  expect(told(nowhere, none)).toEqual(['info a.x.global is gone', 'info no names']);
});

test('what did not change is not told', () => {
  const same = { 'a.x.global': ['127.255.0.2'] };
  expect(told(names(same), names(same))).toEqual([]);
});

test('of many names the summary counts the rest', () => {
  const many = names(Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`n${i}.x.global`, [`127.255.0.${i}`]])));
  expect(told(names({}), many).at(-1)).toMatch(/^info 12 names: n0.x.global, .*n9.x.global and 2 more$/);
});
