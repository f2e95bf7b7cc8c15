// SPDX-License-Identifier: Apache-2.0
// One bash that lives through a page: variables, background jobs and the working folder go from line to line.
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';

/** Ends the output of a command; followed by its exit code. No program prints it. */
const MARK = '\u0001end ';

export class Shell {
  readonly #child: ChildProcessWithoutNullStreams;
  #text = '';
  #wake: (() => void) | undefined;
  #over = false;

  constructor(cwd: string, env: NodeJS.ProcessEnv) {
    // A group of its own, so that what a page left running ends with it.
    this.#child = spawn('bash', ['--norc'], { cwd, env, detached: true });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#text += text;
        this.#wake?.();
      });
    }
    this.#child.on('close', () => {
      this.#over = true;
      this.#wake?.();
    });
  }

  /** Runs it to its end; stdout and stderr as they came. @throws Error after `timeoutMs`, with what was said until then */
  async run(command: string, timeoutMs: number): Promise<{ lines: string[]; exitCode: number }> {
    this.#text = '';
    const quoted = `'${command.replaceAll("'", "'\\''")}'`;
    this.#child.stdin.write(`{ eval ${quoted}; } < /dev/null 2>&1; printf '\\n\\001end %d\\n' $?\n`);
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const end = new RegExp(`\n${MARK}(\\d+)\n`).exec(this.#text);
      if (end !== null) return { lines: this.#text.slice(0, end.index).split('\n'), exitCode: Number(end[1]) };
      const leftMs = deadline - performance.now();
      if (this.#over) throw new Error(`the shell has ended:\n${this.#text}`);
      if (leftMs <= 0) {
        // What hangs would swallow the lines that follow.
        const said = this.#text;
        await this.close();
        throw new Error(`did not end within ${timeoutMs / 1000} s:\n${said}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  async close(): Promise<void> {
    if (this.#over || this.#child.pid === undefined) return;
    const closed = new Promise<void>((resolve) => this.#child.once('close', () => resolve()));
    process.kill(-this.#child.pid, 'SIGKILL');
    await closed;
  }
}
