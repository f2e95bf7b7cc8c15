// SPDX-License-Identifier: Apache-2.0
import { keysToCompare } from './derived-map.ts';
import { VersionedMap } from './versioned-map.ts';

/** The entries of a map that have been chosen: of later versions of the map and of the choice, what has changed is looked at. */
export class SelectedMap<V> {
  #from: ReadonlyMap<string, V> | undefined;
  #chosen: ReadonlyMap<string, true> | undefined;
  #result = new VersionedMap<string, V>();

  of(from: ReadonlyMap<string, V>, chosen: ReadonlyMap<string, true>): VersionedMap<string, V> {
    if (from === this.#from && chosen === this.#chosen) return this.#result;
    const keys = new Set(keysToCompare(this.#chosen, chosen));
    if (from !== this.#from) for (const key of keysToCompare(this.#from, from)) keys.add(key);
    this.#from = from;
    this.#chosen = chosen;
    this.#result = this.#result.with(
      [...keys].map((key) => [key, chosen.has(key) ? from.get(key) : undefined] as const),
    );
    return this.#result;
  }
}
