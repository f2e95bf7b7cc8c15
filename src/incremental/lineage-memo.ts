// SPDX-License-Identifier: Apache-2.0
import { VersionedMap } from './versioned-map.ts';

/** What is kept for a map and all of its later versions; forgotten with the last of them. */
export class LineageMemo<V> {
  readonly #kept = new WeakMap<object, Map<string, V>>();

  /** `tag` tells apart what the map does not. */
  get(map: ReadonlyMap<string, unknown>, tag: string, make: () => V): V {
    const lineage = map instanceof VersionedMap ? map.lineage : map;
    const kept = this.#kept.get(lineage) ?? new Map<string, V>();
    this.#kept.set(lineage, kept);
    const known = kept.get(tag) ?? make();
    kept.set(tag, known);
    return known;
  }
}
