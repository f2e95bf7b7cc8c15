// SPDX-License-Identifier: Apache-2.0
import { DerivedMap, keysToCompare } from './derived-map.ts';
import type { VersionedMap } from './versioned-map.ts';

/**
 * One of many maps that are derived from the same one, each a little differently, and mostly come out alike: then all of
 * them are one object, and what is made of it is made once.
 */
export class AlikeMap<V, W> {
  readonly #make: (value: V, key: string) => W | undefined;
  readonly #different = new Set<string>();
  #from: ReadonlyMap<string, V> | undefined;
  #own: DerivedMap<V, W> | undefined;

  /** `make`: as of a DerivedMap; equal results must be one object. */
  constructor(make: (value: V, key: string) => W | undefined) {
    this.#make = make;
  }

  /** `common`: what most make of this very map; without one, this is a map by itself. */
  of(from: ReadonlyMap<string, V>, common?: VersionedMap<string, W>): VersionedMap<string, W> {
    if (common !== undefined && from !== this.#from) {
      const changed = keysToCompare(this.#from, from);
      this.#from = from;
      for (const key of changed) this.#compare(key, from.get(key), common.get(key));
    }
    if (common !== undefined && this.#different.size === 0) {
      this.#own = undefined;
      return common;
    }
    this.#own ??= new DerivedMap(this.#make);
    return this.#own.of(from);
  }

  #compare(key: string, value: V | undefined, common: W | undefined): void {
    const made = value === undefined ? undefined : this.#make(value, key);
    if (made === common) this.#different.delete(key);
    else this.#different.add(key);
  }
}
