// SPDX-License-Identifier: Apache-2.0

/** Who has read what: from a key that has changed to everything that has to be computed again. */
export class Dependents {
  readonly #readers = new Map<string, Set<string>>();
  readonly #reads = new Map<string, readonly string[]>();

  /** What `reader` has read, in the place of what it read before. */
  set(reader: string, reads: Iterable<string>): void {
    this.#forget(reader);
    const list = [...reads];
    if (list.length === 0) return;
    this.#reads.set(reader, list);
    for (const read of list) {
      const readers = this.#readers.get(read) ?? new Set<string>();
      readers.add(reader);
      this.#readers.set(read, readers);
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
