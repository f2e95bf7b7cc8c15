// SPDX-License-Identifier: Apache-2.0
import { VersionedMap } from './versioned-map.ts';

/** A map may live as long as the process, and tags (what telemetry is told, say) change with what users write. */
const MAX_TAGS = 128;

/** What is kept for a map and all of its later versions; forgotten with the last of them, or for tags that were used since. */
export class LineageMemo<V> {
  readonly #kept = new WeakMap<object, Map<string, V>>();

  /** `tag` tells apart what the map does not. */
  get(map: ReadonlyMap<string, unknown>, tag: string, make: () => V): V {
    const lineage = map instanceof VersionedMap ? map.lineage : map;
    const kept = this.#kept.get(lineage) ?? new Map<string, V>();
    this.#kept.set(lineage, kept);
    const known = kept.get(tag) ?? make();
    // The tag used last is the last.
    if (kept.size > 1) kept.delete(tag);
    kept.set(tag, known);
    const [oldest] = kept.size > MAX_TAGS ? kept.keys() : [];
    if (oldest !== undefined) kept.delete(oldest);
    return known;
  }
}
