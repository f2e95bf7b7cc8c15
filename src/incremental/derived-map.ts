// SPDX-License-Identifier: Apache-2.0
import { VersionedMap } from './versioned-map.ts';

/**
 * The entries of one map as those of another, one by one: of a later version of the map only what has changed is
 * computed again. `make` gives undefined for an entry that has no counterpart, and is pure.
 */
export class DerivedMap<K, V, W> {
  readonly #make: (value: V, key: K) => W | undefined;
  #from: ReadonlyMap<K, V> | undefined;
  #result = new VersionedMap<K, W>();

  constructor(make: (value: V, key: K) => W | undefined) {
    this.#make = make;
  }

  of(from: ReadonlyMap<K, V>): VersionedMap<K, W> {
    if (from === this.#from) return this.#result;
    const changed = changesBetween(this.#from, from);
    this.#from = from;
    this.#result = this.#result.with(this.#changes(from, changed ?? new Set([...this.#result.keys(), ...from.keys()])));
    return this.#result;
  }

  *#changes(from: ReadonlyMap<K, V>, keys: Iterable<K>): Generator<readonly [K, W | undefined]> {
    for (const key of keys) {
      const value = from.get(key);
      yield [key, value === undefined ? undefined : this.#make(value, key)];
    }
  }
}

/** Keys in which two maps may differ, as far as that is known without comparing them. */
export function changesBetween<K, V>(
  older: ReadonlyMap<K, V> | undefined,
  newer: ReadonlyMap<K, V>,
): Iterable<K> | undefined {
  if (older === undefined || !(newer instanceof VersionedMap)) return undefined;
  return (newer as VersionedMap<K, V>).changesSince(older)?.keys();
}
