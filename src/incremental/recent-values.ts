// SPDX-License-Identifier: Apache-2.0

/** Values by name; one that nobody has asked for during so many turns is forgotten, and made anew when it is asked for. */
export class RecentValues<V> {
  readonly #values = new Map<string, { readonly value: V; usedAt: number }>();
  readonly #kept: number;
  #turn = 0;

  constructor(keptTurns = 4096) {
    this.#kept = keptTurns;
  }

  get(name: string, make: () => V): V {
    const known = this.#values.get(name) ?? { value: make(), usedAt: 0 };
    known.usedAt = this.#turn;
    this.#values.set(name, known);
    return known.value;
  }

  /** Something has changed on which the values may depend. */
  turn(): void {
    this.#turn++;
    if (this.#turn % this.#kept !== 0) return;
    for (const [name, { usedAt }] of this.#values) if (this.#turn - usedAt > this.#kept) this.#values.delete(name);
  }
}
