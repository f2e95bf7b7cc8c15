// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { LineageMemo } from './lineage-memo.ts';
import { VersionedMap } from './versioned-map.ts';

test('of tags that come and go the oldest are forgotten, and what is used stays for all versions of a map', () => {
  const memo = new LineageMemo<object>();
  let map = new VersionedMap<string, number>();
  let made = 0;
  const get = (tag: string) =>
    memo.get(map, tag, () => {
      made++;
      return {};
    });
  const used = get('used');
  const first = get('0');
  for (let i = 1; i <= 1000; i++) {
    map = map.with([['a', i]]);
    get(`${i}`);
    expect(get('used')).toBe(used);
  }
  expect(made).toBe(1002);
  expect(get('0')).not.toBe(first);
});
