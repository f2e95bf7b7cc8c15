// SPDX-License-Identifier: Apache-2.0

/** Who has read what: from a key that has changed to everything that has to be computed again. */
export class Dependents {
  readonly #readers: Map<string, Set<string>>;
  readonly #reads: Map<string, string[]>;

  /** With what another knows by now. */
  constructor(from?: Dependents) {
    this.#readers = new Map(from === undefined ? [] : [...from.#readers].map(([read, by]) => [read, new Set(by)]));
    this.#reads = new Map(from === undefined ? [] : [...from.#reads].map(([reader, reads]) => [reader, [...reads]]));
  }

  /** What `reader` has read, in the place of what it read before. */
  set(reader: string, reads: Iterable<string>): void {
    this.#forget(reader);
    this.add(reader, reads);
  }

  /** What `reader` has read besides. */
  add(reader: string, reads: Iterable<string>): void {
    for (const read of reads) {
      const readers = this.#readers.get(read) ?? new Set<string>();
      if (readers.has(reader)) continue;
      readers.add(reader);
      this.#readers.set(read, readers);
      const known = this.#reads.get(reader);
      if (known === undefined) this.#reads.set(reader, [read]);
      else known.push(read);
    }
  }

  of(read: string): Iterable<string> {
    return this.#readers.get(read) ?? [];
  }

  #forget(reader: string): void {
    for (const read of this.#reads.get(reader) ?? []) {
      const readers = this.#readers.get(read);
      readers?.delete(reader);
      if (readers?.size === 0) this.#readers.delete(read);
    }
    this.#reads.delete(reader);
  }
}
