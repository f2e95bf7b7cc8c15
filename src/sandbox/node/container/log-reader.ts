// SPDX-License-Identifier: Apache-2.0
// Reads a container's log as `kubectl logs` asks for it.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type LogFile, rotatedPath } from './log-file.ts';

/** PodLogOptions: https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.33/#read-log-pod-v1-core */
export interface LogOptions {
  readonly follow?: boolean;
  readonly tailLines?: number | undefined;
  readonly limitBytes?: number | undefined;
  /** Lines of this moment or later. */
  readonly since?: Date | undefined;
  readonly timestamps?: boolean;
  readonly stream?: 'stdout' | 'stderr' | undefined;
}

interface LogLine {
  readonly time: string;
  readonly stream: string;
  readonly isWhole: boolean;
  readonly text: Buffer;
}

const CHUNK_BYTES = 64 * 1024;

/**
 * @param path the container's log file
 * @param live the log that is being written to, when the container still runs; `follow` ends with it
 */
export async function* readLog(
  path: string,
  live: LogFile | undefined,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const lines = options.follow && live ? followLines(path, live, signal) : existingLines(path);
  let bytesLeft = options.limitBytes ?? Number.POSITIVE_INFINITY;
  let continues = false;
  for await (const line of selectLines(lines, options)) {
    if (signal.aborted) return;
    const text = formatLine(line, options.timestamps === true && !continues);
    continues = !line.isWhole;
    yield text.length > bytesLeft ? text.subarray(0, bytesLeft) : text;
    bytesLeft -= text.length;
    if (bytesLeft <= 0) return;
  }
}

function formatLine(line: LogLine, withTime: boolean): Buffer {
  const parts: Buffer[] = [];
  if (withTime) parts.push(Buffer.from(`${line.time} `));
  parts.push(line.text);
  if (line.isWhole) parts.push(Buffer.from('\n'));
  return Buffer.concat(parts);
}

/** Marks the place where a followed log has been read to its present end. */
const CAUGHT_UP = Symbol('caught up');
type LineOrMark = LogLine | typeof CAUGHT_UP;

/** The tail is what was there when the reader caught up; all later lines follow. */
async function* selectLines(lines: AsyncGenerator<LineOrMark>, options: LogOptions): AsyncGenerator<LogLine> {
  const since = options.since?.toISOString().replace('Z', '');
  const tail: LogLine[] = [];
  let isHolding = options.tailLines !== undefined;
  const wanted = options.tailLines ?? 0;
  for await (const line of lines) {
    if (line === CAUGHT_UP) {
      if (isHolding) yield* tail.slice(Math.max(0, tail.length - wanted));
      isHolding = false;
      continue;
    }
    if (since !== undefined && line.time < since) continue;
    if (options.stream !== undefined && line.stream !== options.stream) continue;
    if (!isHolding) {
      yield line;
      continue;
    }
    tail.push(line);
    if (tail.length > 2 * wanted + 1000) tail.splice(0, tail.length - wanted);
  }
}

async function* existingLines(path: string): AsyncGenerator<LineOrMark> {
  for (const file of [rotatedPath(path), path]) {
    if (!existsSync(file)) continue;
    const reader = await LineReader.open(file);
    try {
      yield* reader.read();
    } finally {
      await reader.close();
    }
  }
  yield CAUGHT_UP;
}

async function* followLines(path: string, live: LogFile, signal: AbortSignal): AsyncGenerator<LineOrMark> {
  if (existsSync(rotatedPath(path))) {
    const old = await LineReader.open(rotatedPath(path));
    yield* old.read();
    await old.close();
  }
  let reader: LineReader | undefined;
  let isCaughtUp = false;
  let rotations = live.rotations;
  try {
    while (!signal.aborted) {
      // What is true now decides what the next read may leave out: both are taken before it.
      const ended = live.ended;
      const rotated = live.rotations !== rotations;
      const changed = once(live, 'change', { signal });
      changed.catch(() => {});
      if (!reader && existsSync(path)) reader = await LineReader.open(path);
      if (reader) yield* reader.read();
      if (rotated) {
        await reader?.close();
        reader = undefined;
        rotations = live.rotations;
        continue;
      }
      if (!isCaughtUp) yield CAUGHT_UP;
      isCaughtUp = true;
      if (ended) return;
      if (live.ended || live.rotations !== rotations) continue;
      await changed.catch(() => {});
    }
  } finally {
    await reader?.close();
  }
}

/** Reads whole lines of one open file; called again, it goes on where it stopped. */
class LineReader {
  readonly #file: FileHandle;
  #offset = 0;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(file: FileHandle) {
    this.#file = file;
  }

  static async open(path: string): Promise<LineReader> {
    return new LineReader(await open(path, 'r'));
  }

  async *read(): AsyncGenerator<LogLine> {
    for (;;) {
      const { bytesRead, buffer } = await this.#file.read(Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, this.#offset);
      if (bytesRead === 0) return;
      this.#offset += bytesRead;
      let data = Buffer.concat([this.#rest, buffer.subarray(0, bytesRead)]);
      for (let end = data.indexOf(0x0a); end >= 0; end = data.indexOf(0x0a)) {
        const line = parseLine(data.subarray(0, end));
        if (line) yield line;
        data = data.subarray(end + 1);
      }
      this.#rest = data;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** undefined for what is not in the format: the rest of a line that a crash cut off. */
function parseLine(line: Buffer): LogLine | undefined {
  const timeEnd = line.indexOf(0x20);
  const streamEnd = line.indexOf(0x20, timeEnd + 1);
  const flagEnd = line.indexOf(0x20, streamEnd + 1);
  if (timeEnd < 0 || streamEnd < 0 || flagEnd < 0) return undefined;
  return {
    time: line.toString('latin1', 0, timeEnd),
    stream: line.toString('latin1', timeEnd + 1, streamEnd),
    isWhole: line.toString('latin1', streamEnd + 1, flagEnd) === 'F',
    text: line.subarray(flagEnd + 1),
  };
}
