// SPDX-License-Identifier: Apache-2.0
// Reads a container's log as `kubectl logs` asks for it.
import { once } from 'node:events';
import { closeSync, existsSync, openSync, read } from 'node:fs';
import { promisify } from 'node:util';
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
const readAt = promisify(read);

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

const LOG_END_LINES = 80;
const LOG_END_BYTES = 2048;

/** What a container's status takes from a log for want of a message (terminationMessagePolicy). */
export async function readLogEnd(path: string): Promise<string> {
  const lines: Buffer[] = [];
  const never = new AbortController().signal;
  for await (const line of readLog(path, undefined, { tailLines: LOG_END_LINES }, never)) lines.push(line);
  return Buffer.concat(lines).subarray(-LOG_END_BYTES).toString('utf8');
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
    const reader = LineReader.openNow(file);
    if (!reader) continue;
    try {
      yield* reader.read();
    } finally {
      reader.close();
    }
  }
  yield CAUGHT_UP;
}

/**
 * The log's files are numbered by its rotations. Only the newest two exist, so a reader that is slower than two
 * rotations misses what was in between, as it does with a kubelet.
 */
async function* followLines(path: string, live: LogFile, signal: AbortSignal): AsyncGenerator<LineOrMark> {
  let number = existsSync(rotatedPath(path)) ? live.rotations - 1 : live.rotations;
  let reader: LineReader | undefined;
  let isCaughtUp = false;
  try {
    while (!signal.aborted) {
      // What is true now decides what the next read may leave out: all of it is taken before it, in one go with opening
      // the file, so that the writer cannot rotate in between.
      const ended = live.ended;
      if (!reader) {
        number = Math.max(number, live.rotations - 1);
        reader = LineReader.openNow(number < live.rotations ? rotatedPath(path) : path);
      }
      const isComplete = number < live.rotations;
      const changed = once(live, 'change', { signal });
      changed.catch(() => {});
      if (reader) yield* reader.read();
      if (isComplete) {
        reader?.close();
        reader = undefined;
        number++;
        continue;
      }
      if (!isCaughtUp) yield CAUGHT_UP;
      isCaughtUp = true;
      if (ended) return;
      if (live.ended || number < live.rotations) continue;
      await changed.catch(() => {});
    }
  } finally {
    reader?.close();
  }
}

/** Reads whole lines of one open file; called again, it goes on where it stopped. */
class LineReader {
  readonly #file: number;
  #offset = 0;
  #rest: Buffer = Buffer.alloc(0);

  private constructor(file: number) {
    this.#file = file;
  }

  /** undefined when there is no such file. */
  static openNow(path: string): LineReader | undefined {
    return existsSync(path) ? new LineReader(openSync(path, 'r')) : undefined;
  }

  async *read(): AsyncGenerator<LogLine> {
    for (;;) {
      const { bytesRead, buffer } = await readAt(this.#file, Buffer.alloc(CHUNK_BYTES), 0, CHUNK_BYTES, this.#offset);
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

  close(): void {
    closeSync(this.#file);
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
