// SPDX-License-Identifier: Apache-2.0

/** A few entries over many shared ones, without a copy of those. The keys must differ. */
export function layered<V>(shared: ReadonlyMap<string, V>, own: ReadonlyMap<string, V>): ReadonlyMap<string, V> {
  return own.size === 0 ? shared : new LayeredMap(shared, own);
}

class LayeredMap<V> implements ReadonlyMap<string, V> {
  readonly #shared: ReadonlyMap<string, V>;
  readonly #own: ReadonlyMap<string, V>;

  constructor(shared: ReadonlyMap<string, V>, own: ReadonlyMap<string, V>) {
    this.#shared = shared;
    this.#own = own;
  }

  get size(): number {
    return this.#shared.size + this.#own.size;
  }
  get(key: string): V | undefined {
    return this.#own.get(key) ?? this.#shared.get(key);
  }
  has(key: string): boolean {
    return this.#own.has(key) || this.#shared.has(key);
  }
  forEach(call: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    for (const [key, value] of this) call(value, key, this);
  }
  *entries(): MapIterator<[string, V]> {
    yield* this.#shared;
    yield* this.#own;
  }
  *keys(): MapIterator<string> {
    yield* this.#shared.keys();
    yield* this.#own.keys();
  }
  *values(): MapIterator<V> {
    yield* this.#shared.values();
    yield* this.#own.values();
  }
  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }
}
