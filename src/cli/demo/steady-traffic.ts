// SPDX-License-Identifier: Apache-2.0
// Requests that come in all the while, so that a change that costs one is seen to.
import type { Ask } from './ask.ts';
import type { Figures } from './figures.ts';

export class SteadyTraffic {
  readonly #end = new AbortController();
  readonly #asking: Promise<unknown>;

  /** Starts at once. */
  constructor(
    ask: Ask,
    options: { user: string | undefined; ratePerSecond: number; figures: Figures; signal: AbortSignal },
  ) {
    const { user, ratePerSecond, figures, signal } = options;
    this.#asking = ask({
      who: 'steady',
      user,
      count: Infinity,
      ratePerSecond,
      until: this.#end.signal,
      onAnswer: (answer) => figures.add(answer),
      signal,
    });
    this.#asking.catch(() => {}); // `stop` tells
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#asking;
  }
}
