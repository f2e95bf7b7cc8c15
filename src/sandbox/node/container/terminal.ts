// SPDX-License-Identifier: Apache-2.0
// Terminals for programs in containers. script(1) makes them: it comes with the util-linux that everything here needs,
// where python's pty module would be one more thing to have. Their size is set from outside by stty(1).
import { execFile } from 'node:child_process';
import type { Readable } from 'node:stream';
import { PRIVILEGED_ENVIRONMENT } from './privileged-environment.ts';
import { quoteWords } from './shell.ts';

export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/**
 * Commands that run `program` on a new terminal. `-e` passes the exit code on; the transcript goes nowhere.
 * @param tell a command that is run on the terminal first
 */
export function renderTerminal(program: string, size: TerminalSize | undefined, tell = ':'): string {
  const resize = size ? `stty rows ${size.rows} cols ${size.columns}\n` : '';
  const inner = `${tell}\n${resize}exec 3<&- 4>&-\n${program}`;
  return `export SHELL=/bin/sh\nexec ${quoteWords(['script', '-q', '-e', '-c', inner, '/dev/null'])} 3<&-\n`;
}

/** Sets the size of a terminal of the container, from outside. */
export function resizeTerminal(pid: number, terminal: string, { rows, columns }: TerminalSize): void {
  const size = ['rows', String(rows), 'cols', String(columns)];
  execFile('stty', ['-F', `/proc/${pid}/root${terminal}`, ...size], { env: PRIVILEGED_ENVIRONMENT }, () => {});
}

/** How long a program waits for the client to say how large its window is: it often asks for that first. */
const FIRST_SIZE_MS = 50;

/** Sizes that come before the terminal is there wait; the last one counts. */
export class TerminalResizer {
  readonly #pid: number;
  #terminal: string | undefined;
  #wanted: TerminalSize | undefined;
  #resolveFirst: (size: TerminalSize | undefined) => void = () => {};
  readonly firstSize: Promise<TerminalSize | undefined>;

  constructor(pid: number, names: Readable) {
    this.#pid = pid;
    this.firstSize = new Promise((resolve) => {
      this.#resolveFirst = resolve;
      setTimeout(() => resolve(this.#wanted), FIRST_SIZE_MS);
    });
    let text = '';
    names.on('error', () => {});
    names.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      // Checked, since a program of the container could have written it: it becomes a path on this side.
      this.#terminal ??= /^(\/dev\/pts\/\d+)\n/.exec(text)?.[1];
      this.#apply();
    });
  }

  resize(size: TerminalSize): void {
    this.#wanted = size;
    this.#resolveFirst(size);
    this.#apply();
  }

  #apply(): void {
    if (this.#terminal && this.#wanted) resizeTerminal(this.#pid, this.#terminal, this.#wanted);
  }
}
