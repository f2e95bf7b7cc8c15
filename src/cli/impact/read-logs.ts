// SPDX-License-Identifier: Apache-2.0
// Lines of access logs, from the clusters or from files, one after another: none is kept.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { PROXY_CONTAINER } from '../../injector/proxy-container.ts';
import { type KubeClient, queryOf } from '../../kube/client.ts';
import { PODS, resourcePath } from '../../kube/resources.ts';
import { unreadable } from '../user-error.ts';
import type { Logger } from './callers.ts';
import { addressOf } from './judge.ts';
import type { LoggedRequest } from './log-format.ts';
import type { Replay } from './replay.ts';

/** What was in the logs besides requests to replay. */
export interface LogCounts {
  /** Replayed. */
  requests: number;
  /** That came to the pod: their callers' proxies log them too. */
  inbound: number;
  /** Lines about connections that are no HTTP. */
  connections: number;
  /** Of saved logs: lines whose caller nobody can tell. */
  nobodys: number;
  /** Lines that look like those of an access log, and are in another format than the proxy writes now. */
  otherFormats: number;
}

export interface LogSink {
  readonly replay: Replay;
  readonly counts: LogCounts;
  /** Now and then. */
  readonly progress: (counts: LogCounts) => void;
}

const PROGRESS_EVERY = 500;
/** Envoy's own messages have no `T` in their time, and no quotes behind it. */
const LIKE_A_LINE = /^(\[\d{4}-\d\d-\d\dT[^\]]*\] "|\{)/;

export function newCounts(): LogCounts {
  return { requests: 0, inbound: 0, connections: 0, nobodys: 0, otherFormats: 0 };
}

/** @throws KubeError, or Error when the log cannot be read */
export async function readPodLog(
  client: KubeClient,
  logger: Logger,
  sinceSeconds: number,
  sink: LogSink,
  signal: AbortSignal,
): Promise<void> {
  const query = queryOf({ container: PROXY_CONTAINER, sinceSeconds: String(sinceSeconds) });
  const path = resourcePath(PODS, logger.namespace, logger.pod, 'log') + query;
  const stream = await client.stream('GET', path, { signal });
  for await (const line of linesOf(stream)) takeLine(line, logger, sink);
}

/** @param of the logger of a line, and the line without what a tool has put before it */
export async function readLogFile(
  file: string,
  of: (line: string) => { logger: Logger | undefined; line: string },
  sink: LogSink,
): Promise<void> {
  const stream = file === '-' ? process.stdin : createReadStream(file);
  try {
    for await (const written of linesOf(stream)) {
      const { logger, line } = of(written);
      if (logger !== undefined) takeLine(line, logger, sink);
      else if (line !== '') sink.counts.nobodys++;
    }
  } catch (error) {
    throw unreadable(file, error);
  }
}

function linesOf(input: Readable): AsyncIterable<string> {
  return createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY });
}

function takeLine(line: string, { caller, reader, addresses }: Logger, { replay, counts, progress }: LogSink): void {
  const read = reader.read(line);
  if (read === undefined) {
    if (LIKE_A_LINE.test(line)) counts.otherFormats++;
  } else if (read === 'connection') counts.connections++;
  else if (!caller.isGateway && isInbound(read, addresses)) counts.inbound++;
  else {
    counts.requests++;
    replay.add(caller, read, reader.headers);
    if (counts.requests % PROGRESS_EVERY === 0) progress(counts);
  }
}

function isInbound({ upstreamCluster = '', localAddress }: LoggedRequest, addresses: ReadonlySet<string>): boolean {
  if (upstreamCluster !== '') return /^(inbound\||InboundPassthrough)/.test(upstreamCluster);
  const local = addressOf(localAddress);
  return local !== undefined && addresses.has(local.address);
}
