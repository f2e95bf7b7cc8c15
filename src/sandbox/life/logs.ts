// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox logs`: what the sandbox's own components wrote (pods' logs are kubectl's business).
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { paths, SandboxError, sandboxDir } from '../layout.ts';

const CHUNK_BYTES = 64 * 1024;
const FOLLOW_MS = 200;

/** The components that have a log: `host`, `portal`, `cluster1-apiserver`, ... */
export function listLogs(name: string): string[] {
  const dir = paths.logs(sandboxDir(name));
  const files = existsSync(dir) ? readdirSync(dir) : [];
  return files
    .filter((file) => file.endsWith('.log'))
    .map((file) => file.slice(0, -'.log'.length))
    .sort();
}

export interface LogOptions {
  readonly name: string;
  readonly component: string;
  /** Lines from the end; all of them by default. */
  readonly tail?: number;
  readonly follow: boolean;
}

/** Hands the log to `write` piece by piece; with `follow` until `signal` aborts. @throws SandboxError naming the logs there are. */
export async function printLog(options: LogOptions, write: (text: Buffer) => void, signal: AbortSignal): Promise<void> {
  const stateDir = sandboxDir(options.name);
  const known = listLogs(options.name);
  if (!known.includes(options.component)) {
    throw new SandboxError(
      known.length === 0
        ? `The sandbox "${options.name}" has no logs: start it by \`isthmus sandbox up --name ${options.name}\`.`
        : `There is no log "${options.component}". There are: ${known.join(', ')}.`,
    );
  }
  const file = openSync(paths.log(stateDir, options.component), 'r');
  try {
    let offset = options.tail === undefined ? 0 : findTail(file, options.tail);
    do {
      offset = copyFrom(file, offset, write);
      if (options.follow) await sleep(FOLLOW_MS, undefined, { signal }).catch(() => {});
    } while (options.follow && !signal.aborted);
  } finally {
    closeSync(file);
  }
}

function copyFrom(file: number, start: number, write: (text: Buffer) => void): number {
  let offset = start;
  for (;;) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    const length = readSync(file, chunk, 0, CHUNK_BYTES, offset);
    if (length === 0) return offset;
    write(chunk.subarray(0, length));
    offset += length;
  }
}

/** Where the last `lines` lines begin. */
function findTail(file: number, lines: number): number {
  let end = fstatSync(file).size;
  // The last line's own newline does not count.
  let missing = lines + 1;
  while (end > 0) {
    const start = Math.max(0, end - CHUNK_BYTES);
    const chunk = Buffer.alloc(end - start);
    readSync(file, chunk, 0, chunk.length, start);
    for (let i = chunk.length - 1; i >= 0; i--) {
      if (chunk[i] === 0x0a && --missing === 0) return start + i + 1;
    }
    end = start;
  }
  return 0;
}
