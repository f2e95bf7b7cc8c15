// SPDX-License-Identifier: Apache-2.0
// Which objects stand in which files, kept up file by file: one that changes costs what stands in it.
import { isDeepStrictEqual } from 'node:util';
import type { Steps } from '../incremental/steps.ts';
import type { KubeObject } from '../kube/types.ts';
import { identityKey } from './contract.ts';

/** An object as it stands in a file. */
export interface Standing {
  readonly object: KubeObject;
  readonly file: string;
}

export interface LedgerChange<S extends Standing> {
  readonly before: S | undefined;
  readonly after: S | undefined;
}

/** One object may stand in one file only: the first file by name has it, and in that the first document. */
export class ObjectLedger<S extends Standing> {
  readonly #inFile = new Map<string, ReadonlyMap<string, readonly S[]>>();
  /** By key: files in which the object stands. */
  readonly #files = new Map<string, Set<string>>();
  readonly #told = new Map<string, S>();
  readonly #repeated = new Set<string>();

  /** What was told last of the object with this key. */
  get(key: string): S | undefined {
    return this.#told.get(key);
  }

  /** Takes what stands in the files now, by file; an empty list for one that is gone. Returns what is to be told. */
  *update(files: ReadonlyMap<string, Iterable<S>>): Steps<LedgerChange<S>[]> {
    const touched = new Set<string>();
    for (const [file, standings] of files) yield* this.#place(file, standings, touched);
    for (const key of touched) {
      if (this.#all(key).length > 1) this.#repeated.add(key);
      else this.#repeated.delete(key);
      yield;
    }
    const gone: LedgerChange<S>[] = [];
    const come: LedgerChange<S>[] = [];
    for (const key of touched) {
      yield;
      const [before, after] = [this.#told.get(key), this.#first(key)];
      if (after === undefined) this.#told.delete(key);
      else this.#told.set(key, after);
      if (before?.object === after?.object || isDeepStrictEqual(before?.object, after?.object)) continue;
      (after === undefined ? gone : come).push({ before, after });
    }
    return [...gone, ...come];
  }

  /** Those that are left out, each beside the one that counts. */
  repeated(): { readonly counts: S; readonly out: S }[] {
    return [...this.#repeated].sort().flatMap((key) => {
      const [counts, ...others] = this.#all(key);
      return others.map((out) => ({ counts: counts!, out }));
    });
  }

  *#place(file: string, standings: Iterable<S>, touched: Set<string>): Steps<void> {
    for (const key of this.#inFile.get(file)?.keys() ?? []) {
      yield;
      touched.add(key);
      const files = this.#files.get(key);
      files?.delete(file);
      if (files?.size === 0) this.#files.delete(key);
    }
    const byKey = new Map<string, S[]>();
    for (const standing of standings) {
      yield;
      const key = identityKey(standing.object);
      const already = byKey.get(key);
      if (already !== undefined) {
        already.push(standing);
        continue;
      }
      byKey.set(key, [standing]);
      touched.add(key);
      const files = this.#files.get(key) ?? new Set<string>();
      this.#files.set(key, files.add(file));
    }
    if (byKey.size === 0) this.#inFile.delete(file);
    else this.#inFile.set(file, byKey);
  }

  #first(key: string): S | undefined {
    return this.#all(key)[0];
  }

  #all(key: string): readonly S[] {
    const files = [...(this.#files.get(key) ?? [])];
    const [only] = files;
    if (files.length === 1) return this.#inFile.get(only!)?.get(key) ?? [];
    return files.sort().flatMap((file) => this.#inFile.get(file)?.get(key) ?? []);
  }
}
