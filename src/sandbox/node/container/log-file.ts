// SPDX-License-Identifier: Apache-2.0
// A container's output on disk, in the format of the Container Runtime Interface:
// `2006-01-02T15:04:05.000000000Z stdout F text`, P instead of F for a part of a longer line.
// https://github.com/kubernetes/design-proposals-archive/blob/main/node/kubelet-cri-logging.md
import { EventEmitter } from 'node:events';
import { existsSync, renameSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { Readable } from 'node:stream';

export type LogStream = 'stdout' | 'stderr';

const MAX_FILE_BYTES = 10 * 1024 * 1024;
const MAX_LINE_BYTES = 16 * 1024;
const NEWLINE = 0x0a;

/** The name of the file that holds what came before the last rotation. */
export function rotatedPath(path: string): string {
  return `${path}.1`;
}

/** Emits `change` after each write, after a rotation and at the end; `data` with all that comes, as it comes. */
export class LogFile extends EventEmitter<{ change: []; data: [stream: LogStream, chunk: Buffer] }> {
  readonly path: string;
  readonly #maxBytes: number;
  #file: FileHandle | undefined;
  #bytes = 0;
  #rotations = 0;
  #isTorn = false;
  #open = 0;
  #ended = false;
  #queue: Promise<void> = Promise.resolve();

  constructor(path: string, maxBytes = MAX_FILE_BYTES) {
    super();
    this.setMaxListeners(0);
    this.path = path;
    this.#maxBytes = maxBytes;
  }

  /** Nothing will be written any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** How often the file has been replaced by a new one. */
  get rotations(): number {
    return this.#rotations;
  }

  /** Writes all that comes, holding the program back when the disk is slower; resolves at the stream's end. */
  async consume(stream: LogStream, source: Readable): Promise<void> {
    this.#open++;
    let rest: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of source) {
        this.emit('data', stream, chunk as Buffer);
        const { entries, remainder } = splitLines(rest.length > 0 ? Buffer.concat([rest, chunk as Buffer]) : chunk);
        rest = remainder;
        if (entries.length > 0) await this.#append(stream, entries);
      }
    } catch {
      // The pipe was cut: what came before it counts.
    }
    if (rest.length > 0) await this.#append(stream, [{ text: rest, isWhole: true }]);
    if (--this.#open === 0) await this.#close();
  }

  /** Ends a log to which no stream was ever given. */
  async #close(): Promise<void> {
    await this.#queue;
    await this.#file?.close();
    this.#ended = true;
    this.emit('change');
  }

  #append(stream: LogStream, entries: readonly LogEntry[]): Promise<void> {
    const time = new Date().toISOString().replace('Z', '000000Z');
    const bytes = Buffer.concat(
      entries.flatMap(({ text, isWhole }) => [
        Buffer.from(`${time} ${stream} ${isWhole ? 'F' : 'P'} `),
        text,
        Buffer.of(NEWLINE),
      ]),
    );
    const written = this.#queue.then(() => this.#write(bytes));
    // A full disk loses lines of this container; it must not stop the others.
    this.#queue = written.catch(() => {});
    return this.#queue;
  }

  async #write(bytes: Buffer): Promise<void> {
    if (this.#file && this.#bytes + bytes.length > this.#maxBytes) {
      await this.#file.close();
      this.#file = undefined;
      if (existsSync(this.path)) renameSync(this.path, rotatedPath(this.path));
      this.#bytes = 0;
      this.#rotations++;
    }
    this.#file ??= await open(this.path, 'a', 0o600);
    // After a line of which a full disk took only a part, the next one begins anew.
    const { bytesWritten } = await this.#file.write(this.#isTorn ? Buffer.concat([Buffer.of(NEWLINE), bytes]) : bytes);
    this.#isTorn = bytesWritten < bytes.length;
    this.#bytes += bytesWritten;
    this.emit('change');
  }
}

interface LogEntry {
  readonly text: Buffer;
  readonly isWhole: boolean;
}

/** Cuts at newlines, and at 16 KiB where there is none. */
function splitLines(data: Buffer): { entries: LogEntry[]; remainder: Buffer } {
  const entries: LogEntry[] = [];
  let start = 0;
  for (;;) {
    const end = data.indexOf(NEWLINE, start);
    const lineEnd = end < 0 ? data.length : end;
    while (lineEnd - start > MAX_LINE_BYTES) {
      entries.push({ text: data.subarray(start, start + MAX_LINE_BYTES), isWhole: false });
      start += MAX_LINE_BYTES;
    }
    if (end < 0) return { entries, remainder: data.subarray(start) };
    entries.push({ text: data.subarray(start, end), isWhole: true });
    start = end + 1;
  }
}
