// SPDX-License-Identifier: Apache-2.0
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DerivedMap } from './derived-map.ts';
import { VersionedMap } from './versioned-map.ts';

const key = fc.constantFrom('a', 'b', 'c', 'd');
const change = fc.tuple(key, fc.option(fc.nat(3), { nil: undefined }));
const batches = fc.array(fc.array(change, { maxLength: 4 }), { maxLength: 12 });

/** Versions of one map, and beside each what is in it as a plain map. */
function versionsOf(changes: readonly (readonly (readonly [string, number | undefined])[])[]) {
  let version = new VersionedMap<string, number>();
  const plain = new Map<string, number>();
  const versions = [{ version, plain: new Map(plain) }];
  for (const batch of changes) {
    version = version.with(batch);
    for (const [name, value] of batch) {
      if (value === undefined) plain.delete(name);
      else plain.set(name, value);
    }
    versions.push({ version, plain: new Map(plain) });
  }
  return versions;
}

test('each version stays what it was, whatever came after it and in whatever order they are asked', () => {
  fc.assert(
    fc.property(batches, fc.array(fc.nat()), (changes, order) => {
      const versions = versionsOf(changes);
      for (const at of [...order, ...versions.keys()]) {
        const { version, plain } = versions[at % versions.length]!;
        expect(new Map(version)).toEqual(plain);
        expect(version.size).toBe(plain.size);
        for (const name of ['a', 'b', 'c', 'd']) expect(version.get(name)).toBe(plain.get(name));
      }
    }),
  );
});

test('all keys that differ between two versions are known, in the order of time only', () => {
  fc.assert(
    fc.property(batches, fc.nat(), fc.nat(), (changes, i, j) => {
      const versions = versionsOf(changes);
      const [from, to] = [i % versions.length, j % versions.length].sort((a, b) => a - b);
      const [older, newer] = [versions[from!]!, versions[to!]!];
      const known = newer.version.changesSince(older.version);
      const differing = ['a', 'b', 'c', 'd'].filter((name) => older.plain.get(name) !== newer.plain.get(name));
      if (known !== undefined) expect([...known.keys()]).toEqual(expect.arrayContaining(differing));
      // Only where another was asked for first may a way be unknown; to the newest there always is one.
      if (newer === versions.at(-1)) expect(known).toBeDefined();
    }),
  );
});

test('a change that changes nothing is no version', () => {
  const map = new VersionedMap(new Map([['a', 1]]));
  expect(
    map.with([
      ['a', 1],
      ['b', undefined],
    ]),
  ).toBe(map);
  expect(
    map.with([
      ['a', 2],
      ['a', 1],
    ]),
  ).toBe(map);
});

test('a branch is a map of its own', () => {
  const map = new VersionedMap(new Map([['a', 1]]));
  const [left, right] = [map.with([['a', 2]]), map.with([['a', 3]])];
  expect([map.get('a'), left.get('a'), right.get('a')]).toEqual([1, 2, 3]);
  expect(right.changesSince(map)).toBeUndefined();
  expect([...left.changesSince(map)!.keys()]).toEqual(['a']);
});

test('a derived map makes what has changed, and that once', () => {
  fc.assert(
    fc.property(batches, (changes) => {
      let made = 0;
      const derived = new DerivedMap(
        (value: number, name: string) => {
          made++;
          return value === 0 ? undefined : { name: `${name}!`, value };
        },
        ({ name }) => name,
      );
      for (const { version, plain } of versionsOf(changes)) {
        const before = made;
        const result = derived.of(version);
        const expected = [...plain].filter(([, value]) => value > 0).map(([name, value]) => [`${name}!`, value]);
        expect(new Map([...result].map(([name, each]) => [name, each.value]))).toEqual(
          new Map(expected as [string, number][]),
        );
        expect(derived.of(version)).toBe(result);
        expect(made - before).toBeLessThanOrEqual(4);
      }
    }),
  );
});
