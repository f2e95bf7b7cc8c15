// SPDX-License-Identifier: Apache-2.0

/** A function's results by the identity of its arguments; a result is forgotten with any one of them. */
export class IdentityMemo<V> {
  readonly #root: Level<V> = { next: new WeakMap(), values: new Map() };

  /** `tag` tells apart what the objects do not. */
  get(keys: readonly object[], tag: string, make: () => V): V {
    let level = this.#root;
    for (const key of keys) {
      let next = level.next.get(key);
      if (next === undefined) {
        next = { next: new WeakMap(), values: new Map() };
        level.next.set(key, next);
      }
      level = next;
    }
    const found = level.values.get(tag);
    if (found !== undefined) return found;
    const made = make();
    level.values.set(tag, made);
    return made;
  }
}

interface Level<V> {
  readonly next: WeakMap<object, Level<V>>;
  readonly values: Map<string, V>;
}
