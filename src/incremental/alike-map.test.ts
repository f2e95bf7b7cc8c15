// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { AlikeMap } from './alike-map.ts';
import { DerivedMap } from './derived-map.ts';
import { VersionedMap } from './versioned-map.ts';

const change = fc.tuple(fc.constantFrom('a', 'b', 'c', 'd'), fc.option(fc.nat(5), { nil: undefined }));
const batches = fc.array(fc.array(change, { maxLength: 3 }), { maxLength: 12 });

test('maps that come out alike are one object, however they came to be so', () => {
  // What most make of a number, and what one makes of it who sees no number above four.
  const half = (value: number) => value >> 1;
  const own = (value: number) => (value > 4 ? undefined : half(value));
  fc.assert(
    fc.property(batches, (changes) => {
      const common = new DerivedMap(half);
      const alike = new AlikeMap(own);
      let version = new VersionedMap<string, number>();
      for (const batch of changes) {
        version = version.with(batch);
        const made = alike.of(version, common.of(version));
        expect(new Map(made)).toEqual(new Map(new DerivedMap(own).of(version)));
        expect(made === common.of(version)).toBe(![...version.values()].some((value) => value > 4));
      }
    }),
  );
});
