// SPDX-License-Identifier: Apache-2.0
// Sets and maps that many streams begin with alike: they are one object until a stream's own becomes another.

export class SharedSet {
  #values: ReadonlySet<string>;
  #own: Set<string> | undefined;

  constructor(values: ReadonlySet<string> = new Set()) {
    this.#values = values;
  }

  get size(): number {
    return this.#values.size;
  }
  has(value: string): boolean {
    return this.#values.has(value);
  }
  [Symbol.iterator](): SetIterator<string> {
    return this.#values[Symbol.iterator]();
  }

  add(value: string): void {
    if (!this.#values.has(value)) this.#mine().add(value);
  }
  delete(value: string): boolean {
    return this.#values.has(value) && this.#mine().delete(value);
  }

  /** Takes these in the place of its own; they must not change any more. */
  becomes(values: ReadonlySet<string>): void {
    this.#values = values;
    this.#own = undefined;
  }

  #mine(): Set<string> {
    if (this.#own === undefined) {
      this.#own = new Set(this.#values);
      this.#values = this.#own;
    }
    return this.#own;
  }
}

/** Most streams have nothing to be sent most of the time, and a map for each that lives so long is work for the collector. */
const EMPTY: ReadonlyMap<string, never> = new Map<string, never>();

export class SharedMap<V> {
  #values: ReadonlyMap<string, V> = EMPTY;
  #own: Map<string, V> | undefined;

  get size(): number {
    return this.#values.size;
  }
  has(key: string): boolean {
    return this.#values.has(key);
  }
  keys(): MapIterator<string> {
    return this.#values.keys();
  }
  values(): MapIterator<V> {
    return this.#values.values();
  }
  /** The map that it became, as long as it is that and no copy. */
  get shared(): ReadonlyMap<string, V> | undefined {
    return this.#own === undefined && this.#values.size > 0 ? this.#values : undefined;
  }

  set(key: string, value: V): void {
    this.#mine().set(key, value);
  }
  delete(key: string): boolean {
    return this.#values.has(key) && this.#mine().delete(key);
  }
  clear(): void {
    this.#own = undefined;
    this.#values = EMPTY;
  }

  /** Takes these in the place of its own; they must not change any more. */
  becomes(values: ReadonlyMap<string, V>): void {
    this.#values = values;
    this.#own = undefined;
  }

  #mine(): Map<string, V> {
    if (this.#own === undefined) {
      this.#own = new Map(this.#values);
      this.#values = this.#own;
    }
    return this.#own;
  }
}
