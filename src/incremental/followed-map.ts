// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { Dependents } from './dependents.ts';
import { keysToCompare } from './derived-map.ts';
import { type ReadLog, readKey, WHOLE } from './recorded-map.ts';
import { inPieces, type Steps } from './steps.ts';
import { VersionedMap } from './versioned-map.ts';

/** What is known to be different of tables that are read; see FollowedMap. */
export class ReadChanges {
  readonly #reads = new Set<string>();

  /** Of an earlier version of the table to a later one; undefined: nobody has read it before. */
  add(table: string, before: ReadonlyMap<string, unknown> | undefined, after: ReadonlyMap<string, unknown>): void {
    if (before === undefined || before === after) return;
    for (const key of keysToCompare<unknown>(before, after)) this.#reads.add(readKey(table, key));
    this.#reads.add(readKey(table, WHOLE));
  }

  [Symbol.iterator](): IterableIterator<string> {
    return this.#reads.values();
  }
}

/**
 * One map entry by entry out of another, where an entry is made of other tables too: what was read for it is noted, and it is
 * made again when that is different, or its own entry is.
 */
export class FollowedMap<V, W> {
  readonly #make: (value: V, key: string) => W | undefined;
  readonly #log: ReadLog;
  readonly #readers = new Dependents();
  #from: ReadonlyMap<string, V> | undefined;
  #result = new VersionedMap<string, W>();

  /** `make` reads tables that note it in `log`, and gives undefined for an entry that has no counterpart. */
  constructor(log: ReadLog, make: (value: V, key: string) => W | undefined) {
    this.#log = log;
    this.#make = make;
  }

  /** `changed`: what is different of the tables since the last call; 'all' where something is that is not noted. */
  *of(from: ReadonlyMap<string, V>, changed: ReadChanges | 'all'): Steps<VersionedMap<string, W>> {
    const stale = new Set(keysToCompare(changed === 'all' ? undefined : this.#from, from));
    if (changed === 'all') for (const key of this.#from?.keys() ?? []) stale.add(key);
    else for (const read of changed) for (const reader of this.#readers.of(read)) stale.add(reader);
    this.#from = from;
    for (const piece of inPieces(stale)) {
      const made: [string, W | undefined][] = [];
      for (const key of piece) {
        made.push([key, this.#madeOf(key, from.get(key))]);
        yield;
      }
      this.#result = this.#result.with(made);
    }
    return this.#result;
  }

  #madeOf(key: string, value: V | undefined): W | undefined {
    if (value === undefined) {
      this.#readers.set(key, []);
      return undefined;
    }
    const { value: made, reads } = this.#log.during('', () => this.#make(value, key));
    this.#readers.set(key, reads);
    const before = this.#result.get(key);
    return before === made || isDeepStrictEqual(before, made) ? before : made;
  }
}
