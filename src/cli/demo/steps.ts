// SPDX-License-Identifier: Apache-2.0
// One line a step: what happens, and how long it took. On a terminal the line is live; elsewhere it is printed once.

export class Steps {
  readonly #out: NodeJS.WriteStream;
  readonly #startedAt = performance.now();

  constructor(out: NodeJS.WriteStream) {
    this.#out = out;
  }

  /** Runs `work` under a title; `work` may set a detail that stands behind it. */
  async run<T>(title: string, work: (detail: (text: string) => void) => Promise<T>): Promise<T> {
    const startedAt = performance.now();
    let detail = '';
    const seconds = (): string => `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
    const live = this.#out.isTTY;
    const draw = (mark: string, end: string): void => {
      const text = `${title}${detail ? `: ${detail}` : ''}`;
      // A line that wraps cannot be redrawn; the last state of a line is not, and is shown whole.
      const shown = live && end === '' ? text.slice(0, Math.max(40, (this.#out.columns || 80) - 12)) : text;
      this.#out.write(`${live ? '\r\x1b[2K' : ''}${mark} ${seconds().padStart(7)}  ${shown}${end}`);
    };
    const timer = live ? setInterval(() => draw('…', ''), 200) : undefined;
    try {
      const result = await work((text) => {
        detail = text;
      });
      draw(this.paint('32', '✓'), '\n');
      return result;
    } catch (error) {
      draw(this.paint('31', '✗'), '\n');
      throw error;
    } finally {
      clearInterval(timer);
    }
  }

  say(text = ''): void {
    this.#out.write(`${text}\n`);
  }

  elapsedSeconds(): number {
    return (performance.now() - this.#startedAt) / 1000;
  }

  /** Colour on a terminal only, and not where NO_COLOR asks for none (no-color.org). */
  paint(code: string, text: string): string {
    return this.#out.isTTY && !process.env['NO_COLOR'] ? `\x1b[${code}m${text}\x1b[0m` : text;
  }
}
