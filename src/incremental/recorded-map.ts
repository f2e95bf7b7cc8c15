// SPDX-License-Identifier: Apache-2.0

const NONE: readonly string[] = Object.freeze([]);

/** Which keys of which tables a computation has read; written by RecordedMap. */
export class ReadLog {
  #own: string | undefined;
  #reads: string[] | undefined;

  /**
   * Runs `compute` and returns what it has read besides its value, as `readKey` writes it. That it reads the key `own` goes
   * without saying.
   */
  during<T>(own: string, compute: () => T): { value: T; reads: readonly string[] } {
    this.#own = own;
    this.#reads = undefined;
    try {
      const value = compute();
      return { value, reads: this.#reads ?? NONE };
    } finally {
      this.#own = undefined;
      this.#reads = undefined;
    }
  }

  note(table: string, key: string): void {
    if (this.#own === undefined || key === this.#own) return;
    this.#reads ??= [];
    this.#reads.push(readKey(table, key));
  }
}

/** All of a table: whoever goes through it depends on every entry. */
export const WHOLE = '\0';

export function readKey(table: string, key: string): string {
  return `${table} ${key}`;
}

/** A table whose readers are noted. */
export class RecordedMap<V> implements ReadonlyMap<string, V> {
  readonly #table: string;
  readonly #log: ReadLog;
  readonly #now: () => ReadonlyMap<string, V>;

  /** `now`: the entries at this moment. */
  constructor(table: string, log: ReadLog, now: () => ReadonlyMap<string, V>) {
    this.#table = table;
    this.#log = log;
    this.#now = now;
  }

  get(key: string): V | undefined {
    this.#log.note(this.#table, key);
    return this.#now().get(key);
  }
  has(key: string): boolean {
    this.#log.note(this.#table, key);
    return this.#now().has(key);
  }
  get size(): number {
    return this.#all().size;
  }
  forEach(call: (value: V, key: string, map: ReadonlyMap<string, V>) => void): void {
    this.#all().forEach(call);
  }
  entries(): MapIterator<[string, V]> {
    return this.#all().entries();
  }
  keys(): MapIterator<string> {
    return this.#all().keys();
  }
  values(): MapIterator<V> {
    return this.#all().values();
  }
  [Symbol.iterator](): MapIterator<[string, V]> {
    return this.#all()[Symbol.iterator]();
  }

  #all(): ReadonlyMap<string, V> {
    this.#log.note(this.#table, WHOLE);
    return this.#now();
  }
}
