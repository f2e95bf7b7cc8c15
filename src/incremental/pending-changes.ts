// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import type { Change } from './grouped-map.ts';
import { inPieces, type Steps } from './steps.ts';
import type { VersionedMap } from './versioned-map.ts';

/** Changes to a map that is published; equal values keep their identity. */
export class PendingChanges<V extends object> {
  readonly #before: VersionedMap<string, V>;
  readonly #after = new Map<string, V | undefined>();

  constructor(before: VersionedMap<string, V>) {
    this.#before = before;
  }

  /** Every key that was set, changed or not. */
  get keys(): Iterable<string> {
    return this.#after.keys();
  }

  set(key: string, next: V | undefined): void {
    const published = this.#before.get(key);
    this.#after.set(key, isDeepStrictEqual(published, next) ? published : next);
  }

  get(key: string): V | undefined {
    return this.#after.has(key) ? this.#after.get(key) : this.#before.get(key);
  }

  /** What has really changed. */
  list(): Change<V>[] {
    return [...this.#after].flatMap(([key, after]): Change<V>[] => {
      const before = this.#before.get(key);
      return before === after ? [] : [[before, after]];
    });
  }

  *done(): Steps<VersionedMap<string, V>> {
    let map = this.#before;
    for (const piece of inPieces(this.#after)) {
      map = map.with(piece);
      yield;
    }
    return map;
  }
}
