// SPDX-License-Identifier: Apache-2.0

/** A function's results by the identity of its arguments; a result is forgotten with any one of them. */
export class IdentityMemo<V> {
  readonly #root: Level<V> = emptyLevel();

  /** `tag` tells apart what the objects do not. What most results have in common comes first among the keys: it is kept once. */
  get(keys: readonly object[], tag: string, make: () => V): V {
    let level = this.#root;
    for (const key of keys) {
      level.next ??= new WeakMap();
      let next = level.next.get(key);
      if (next === undefined) {
        next = emptyLevel();
        level.next.set(key, next);
      }
      level = next;
    }
    if (level.tag === tag) return level.value as V;
    const found = level.more?.get(tag);
    if (found !== undefined) return found;
    const made = make();
    if (level.tag === undefined) {
      level.tag = tag;
      level.value = made;
    } else {
      level.more ??= new Map();
      level.more.set(tag, made);
    }
    return made;
  }
}

/** There are thousands, and nearly all lead to one thing: one level more, or one value. */
interface Level<V> {
  next: WeakMap<object, Level<V>> | undefined;
  tag: string | undefined;
  value: V | undefined;
  more: Map<string, V> | undefined;
}

function emptyLevel<V>(): Level<V> {
  return { next: undefined, tag: undefined, value: undefined, more: undefined };
}
