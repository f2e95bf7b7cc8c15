// SPDX-License-Identifier: Apache-2.0

/** Something that there is so much of, and for each address only a part. */
export class Shares {
  readonly #max: number;
  readonly #maxEach: number;
  readonly #taken = new Map<string, number>();
  #total = 0;

  constructor(max: number, maxEach: number) {
    this.#max = max;
    this.#maxEach = maxEach;
  }

  take(address: string, amount: number): boolean {
    const mine = (this.#taken.get(address) ?? 0) + amount;
    if (mine > this.#maxEach || this.#total + amount > this.#max) return false;
    this.#taken.set(address, mine);
    this.#total += amount;
    return true;
  }

  giveBack(address: string, amount: number): void {
    const left = (this.#taken.get(address) ?? 0) - amount;
    if (left > 0) this.#taken.set(address, left);
    else this.#taken.delete(address);
    this.#total -= amount;
  }
}
