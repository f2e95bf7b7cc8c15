// SPDX-License-Identifier: Apache-2.0
// Pipes for the containers' standard streams. Node's own `pipe` is a socket, and programs that open /dev/stdout (Envoy's
// access log, `echo >/dev/stderr`) cannot open a socket; nor could another uid open an anonymous pipe of ours.
import { spawnSync } from 'node:child_process';
import { chownSync, closeSync, constants, openSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';

export interface OutputPipe {
  /** To be given to the child, then closed by `release`. */
  readonly childFd: number;
  readonly reader: Socket;
  release(): void;
}

export interface InputPipe {
  readonly childFd: number;
  readonly writer: Socket;
  release(): void;
}

const BATCH = 32;

export class PipePool {
  readonly #folder: string;
  readonly #free: string[] = [];
  #made = 0;

  /** @param folder exists, and nobody else writes to it */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @param owner the uid that may open the pipe anew (by /dev/stdout); undefined: this process's */
  output(owner: number | undefined): OutputPipe {
    const path = this.#take(owner);
    // The reader comes first and does not wait, so that opening the writer does not wait either.
    const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const childFd = openSync(path, constants.O_WRONLY);
    unlinkSync(path);
    const reader = new Socket({ fd: readFd, readable: true, writable: false });
    // A broken pipe ends the stream; whoever reads it sees that end.
    reader.on('error', () => {});
    return { childFd, reader, release: () => closeSync(childFd) };
  }

  input(owner: number | undefined): InputPipe {
    const path = this.#take(owner);
    const both = openSync(path, constants.O_RDWR);
    // Opened without O_NONBLOCK: the flag would be the child's too.
    const childFd = openSync(path, constants.O_RDONLY);
    const writeFd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
    closeSync(both);
    unlinkSync(path);
    const writer = new Socket({ fd: writeFd, readable: false, writable: true });
    // The program may end, or close its input, before it has read everything.
    writer.on('error', () => {});
    return { childFd, writer, release: () => closeSync(childFd) };
  }

  #take(owner: number | undefined): string {
    if (this.#free.length === 0) {
      const paths = Array.from({ length: BATCH }, () => join(this.#folder, String(this.#made++)));
      const result = spawnSync('mkfifo', ['-m', '600', ...paths], { encoding: 'utf8' });
      if (result.status !== 0) throw new Error(`mkfifo failed: ${result.error?.message ?? result.stderr.trim()}`);
      this.#free.push(...paths);
    }
    const path = this.#free.pop()!;
    if (owner !== undefined) chownSync(path, owner, owner);
    return path;
  }
}
