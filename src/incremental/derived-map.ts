// SPDX-License-Identifier: Apache-2.0
import { VersionedMap } from './versioned-map.ts';

/**
 * The entries of one map as those of another, one by one: of a later version of the map only what has changed is
 * computed again. `make` gives undefined for an entry that has no counterpart, and is pure.
 */
export class DerivedMap<V, W> {
  readonly #make: (value: V, key: string) => W | undefined;
  readonly #nameOf: ((made: W) => string) | undefined;
  /** Where names are not keys: key -> name. */
  readonly #names = new Map<string, string>();
  #from: ReadonlyMap<string, V> | undefined;
  #result = new VersionedMap<string, W>();

  /** `nameOf`: the key of what was made; by default that of what it was made of. Names must differ as keys do. */
  constructor(make: (value: V, key: string) => W | undefined, nameOf?: (made: W) => string) {
    this.#make = make;
    this.#nameOf = nameOf;
  }

  of(from: ReadonlyMap<string, V>): VersionedMap<string, W> {
    if (from === this.#from) return this.#result;
    const changed = keysToCompare(this.#from, from);
    this.#from = from;
    return this.again(changed);
  }

  /** Computes these entries anew: something else has changed that they depend on. */
  again(keys: Iterable<string>): VersionedMap<string, W> {
    const gone: [string, undefined][] = [];
    const come: [string, W][] = [];
    for (const key of keys) {
      const value = this.#from?.get(key);
      const made = value === undefined ? undefined : this.#make(value, key);
      const before = this.#nameOf === undefined ? key : this.#names.get(key);
      if (before !== undefined) gone.push([before, undefined]);
      if (made === undefined) this.#names.delete(key);
      else {
        const name = this.#nameOf?.(made) ?? key;
        if (this.#nameOf !== undefined) this.#names.set(key, name);
        come.push([name, made]);
      }
    }
    this.#result = this.#result.with(new Map<string, W | undefined>([...gone, ...come]));
    return this.#result;
  }
}

/** Keys in which two maps may differ: all of them where nothing is known. */
export function keysToCompare<V>(
  older: ReadonlyMap<string, V> | undefined,
  newer: ReadonlyMap<string, V>,
): Iterable<string> {
  return (
    changesBetween(older, newer) ?? (older === undefined ? newer.keys() : new Set([...older.keys(), ...newer.keys()]))
  );
}

/** Keys in which two maps may differ, as far as that is known without comparing them. */
export function changesBetween<V>(
  older: ReadonlyMap<string, V> | undefined,
  newer: ReadonlyMap<string, V>,
): Iterable<string> | undefined {
  if (older === newer) return [];
  if (older === undefined || !(newer instanceof VersionedMap)) return undefined;
  return (newer as VersionedMap<string, V>).changesSince(older)?.keys();
}
