// SPDX-License-Identifier: Apache-2.0

/** Below that, what nobody asks for any more is not worth a search. */
const FEW = 16;
/** Somebody who is late asks after some turns; who is later has a value made anew. */
const LATE_TURNS = 16;

/**
 * Values by name; one that nobody has asked for during so many turns is forgotten, and made anew when it is asked for.
 * Where names come and go with each turn (rules that change are part of them), those that went are forgotten as soon as
 * there may be as many of them as of the others: a value can be as large as the mesh.
 */
export class RecentValues<V> {
  readonly #values = new Map<string, { readonly value: V; usedAt: number }>();
  readonly #kept: number;
  #turn = 0;
  /** As many are looked through at the next new name. */
  #many = FEW;

  constructor(keptTurns = 4096) {
    this.#kept = keptTurns;
  }

  get size(): number {
    return this.#values.size;
  }

  get(name: string, make: () => V): V {
    const known = this.#values.get(name) ?? this.#add(make());
    known.usedAt = this.#turn;
    this.#values.set(name, known);
    return known.value;
  }

  /** Something has changed on which the values may depend. */
  turn(): void {
    this.#turn++;
    if (this.#turn % this.#kept === 0) this.#forget(this.#kept);
  }

  #add(value: V): { readonly value: V; usedAt: number } {
    if (this.#values.size >= this.#many) {
      this.#forget(LATE_TURNS);
      this.#many = Math.max(FEW, 2 * this.#values.size);
    }
    return { value, usedAt: this.#turn };
  }

  #forget(turns: number): void {
    for (const [name, { usedAt }] of this.#values) if (this.#turn - usedAt > turns) this.#values.delete(name);
  }
}
