// SPDX-License-Identifier: Apache-2.0
// How often one address may ask for something dear: a token bucket each. What many addresses ask together is not limited.

export interface RateLimit {
  /** At once. */
  readonly burst: number;
  /** From then on. */
  readonly perSecond: number;
}

const MAX_ADDRESSES = 10_000;

export class PerAddressLimit {
  readonly #limit: RateLimit;
  readonly #nowMs: () => number;
  readonly #buckets = new Map<string, { left: number; atMs: number }>();

  /** `nowMs`: any clock that does not jump. */
  constructor(limit: RateLimit, nowMs: () => number = () => performance.now()) {
    this.#limit = limit;
    this.#nowMs = nowMs;
  }

  /** Takes one; false when there is none left. */
  take(address: string): boolean {
    const { burst, perSecond } = this.#limit;
    const atMs = this.#nowMs();
    const bucket = this.#buckets.get(address) ?? { left: burst, atMs };
    const left = Math.min(burst, bucket.left + ((atMs - bucket.atMs) / 1000) * perSecond);
    this.#buckets.delete(address);
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size < MAX_ADDRESSES) break;
      this.#buckets.delete(oldest);
    }
    this.#buckets.set(address, { left: left >= 1 ? left - 1 : left, atMs });
    return left >= 1;
  }
}
