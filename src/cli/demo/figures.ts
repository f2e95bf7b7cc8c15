// SPDX-License-Identifier: Apache-2.0
// The three figures below the table: time to ready, times from edit to effect, lost requests.
import type { Answer } from './ask.ts';

const SHOWN_LOSSES = 5;

export class Figures {
  readySeconds: number | undefined;
  readonly effects: { readonly what: string; readonly ms: number }[] = [];
  readonly #lost: string[] = [];
  #asked = 0;

  /** Every request since the first good answer, counted or not. */
  add(answer: Answer): void {
    this.#asked++;
    if (answer.version === undefined) this.#lost.push(answer.detail);
  }

  get asked(): number {
    return this.#asked;
  }

  get lost(): number {
    return this.#lost.length;
  }

  render(): string {
    const rows: [string, string, string][] = [];
    if (this.readySeconds !== undefined)
      rows.push(['time to ready', `${this.readySeconds.toFixed(1)} s`, 'from nothing to the first answer']);
    for (const { what, ms } of this.effects) rows.push(['from edit to effect', `${Math.round(ms)} ms`, what]);
    rows.push([
      'lost requests',
      `${this.lost} of ${this.#asked}`,
      'since the first answer, while the rules changed too',
    ]);
    const width = Math.max(...rows.map(([, figure]) => figure.length));
    const lines = rows.map(([name, figure, what]) => `  ${name.padEnd(21)}${figure.padEnd(width + 3)}${what}`);
    const losses = this.#lost.slice(0, SHOWN_LOSSES).map((detail) => `  lost: ${detail}`);
    if (this.lost > SHOWN_LOSSES) losses.push(`  and ${this.lost - SHOWN_LOSSES} more`);
    return [...lines, ...losses].join('\n');
  }
}
