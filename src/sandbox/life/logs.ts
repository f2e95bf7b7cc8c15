// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox logs`: what the sandbox's own components wrote, and what pods wrote.
import { closeSync, existsSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { queryOf } from '../../kube/client.ts';
import { PODS, resourcePath } from '../../kube/resources.ts';
import { closestNames } from '../closest-names.ts';
import { paths, SandboxError, sandboxDir } from '../layout.ts';
import { findPod, type PodWish } from './find-pod.ts';
import { demandRunning } from './status.ts';

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
  /** The sandbox's. */
  readonly name: string;
  /** A component's, or of a pod what `findPod` understands. */
  readonly source: string;
  readonly pod: Omit<PodWish, 'name'>;
  /** Lines from the end; all of them by default. */
  readonly tail?: number;
  /** Only what was written in the last so many seconds. */
  readonly sinceSeconds?: number;
  readonly follow: boolean;
}

/** Hands the log to `write` piece by piece; with `follow` until `signal` aborts. @throws SandboxError naming what there is. */
export async function printLog(options: LogOptions, write: (text: Buffer) => void, signal: AbortSignal): Promise<void> {
  const known = listLogs(options.name);
  if (known.includes(options.source)) return printComponentLog(options, write, signal);
  try {
    return await printPodLog(options, write, signal);
  } catch (error) {
    if (!(error instanceof SandboxError)) throw error;
    const components =
      known.length === 0
        ? 'The sandbox has no logs of its own'
        : `Of the sandbox's own parts, ${closestNames(options.source, known, 3).join(', ')} come closest`;
    throw new SandboxError(`${error.message} ${components}; all of them: isthmus sandbox logs --name ${options.name}`);
  }
}

async function printPodLog(options: LogOptions, write: (text: Buffer) => void, signal: AbortSignal): Promise<void> {
  const { client, namespace, name, container } = await findPod(demandRunning(options.name), {
    ...options.pod,
    name: options.source,
  });
  const query = queryOf({
    container,
    follow: options.follow ? 'true' : undefined,
    tailLines: options.tail?.toString(),
    sinceSeconds: options.sinceSeconds?.toString(),
  });
  try {
    const stream = await client.stream('GET', `${resourcePath(PODS, namespace, name, 'log')}${query}`, { signal });
    for await (const chunk of stream) write(chunk as Buffer);
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    client.close();
  }
}

async function printComponentLog(
  options: LogOptions,
  write: (text: Buffer) => void,
  signal: AbortSignal,
): Promise<void> {
  const path = paths.log(sandboxDir(options.name), options.source);
  const since = options.sinceSeconds === undefined ? undefined : Date.now() - options.sinceSeconds * 1000;
  const show = since === undefined ? write : onlySince(since, write);
  const file = openSync(path, 'r');
  try {
    let offset = options.tail === undefined ? 0 : findTail(file, options.tail);
    for (;;) {
      // It was emptied for being long (component-log.ts).
      if (fstatSync(file).size < offset) offset = 0;
      offset = copyFrom(file, offset, show);
      if (!options.follow || signal.aborted) return;
      await sleep(FOLLOW_MS, undefined, { signal }).catch(() => {});
    }
  } finally {
    closeSync(file);
  }
}

/** Components write a JSON object a line, with `time` in milliseconds; a line without it belongs to the one before. */
function onlySince(sinceMs: number, write: (text: Buffer) => void): (text: Buffer) => void {
  let rest = Buffer.alloc(0);
  let isWanted = false;
  return (text) => {
    const whole = Buffer.concat([rest, text]);
    const end = whole.lastIndexOf(0x0a) + 1;
    rest = Buffer.from(whole.subarray(end));
    const kept = whole
      .subarray(0, end)
      .toString('utf8')
      .split(/(?<=\n)/)
      .filter((line) => {
        const time = /^\{"level":\d+,"time":(\d+)/.exec(line)?.[1];
        if (time !== undefined) isWanted = Number(time) >= sinceMs;
        return isWanted;
      });
    if (kept.length > 0) write(Buffer.from(kept.join('')));
  };
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
