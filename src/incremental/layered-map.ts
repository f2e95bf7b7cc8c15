// SPDX-License-Identifier: Apache-2.0

/** A few entries over many shared ones, without a copy of those. The keys must differ. */
export class LayeredMap<V> implements ReadonlyMap<string, V> {
  readonly shared: ReadonlyMap<string, V>;
  readonly own: ReadonlyMap<string, V>;

  constructor(shared: ReadonlyMap<string, V>, own: ReadonlyMap<string, V>) {
    this.shared = shared;
    this.own = own;
  }

  get size(): number {
    return this.shared.size + this.own.size;
  }
  get(key: string): V | undefined {
    return this.own.get(key) ?? this.shared.get(key);
  }
  has(key: string): boolean {
    return this.own.has(key) || this.shared.has(key);
  }
  forEach(call: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) call(value, key, this);
  }
  *entries(): MapIterator<[string, V]> {
    yield* this.shared;
    yield* this.own;
  }
  *keys(): MapIterator<string> {
    yield* this.shared.keys();
    yield* this.own.keys();
  }
  *values(): MapIterator<V> {
    yield* this.shared.values();
    yield* this.own.values();
  }
  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }
}

/** Layers of the same two maps are one object. */
export class Layers<V> {
  readonly #known = new WeakMap<object, WeakMap<object, LayeredMap<V>>>();

  of(shared: ReadonlyMap<string, V>, own: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
    if (own.size === 0) return shared;
    const byOwn = this.#known.get(shared) ?? new WeakMap<object, LayeredMap<V>>();
    this.#known.set(shared, byOwn);
    const known = byOwn.get(own) ?? new LayeredMap(shared, own);
    byOwn.set(own, known);
    return known;
  }
}
