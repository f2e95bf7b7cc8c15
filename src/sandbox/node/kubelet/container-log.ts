// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type LogOptions, readLog } from '../container/log-reader.ts';
import type { ContainerLoop } from '../pod/container-loop.ts';
import type { PodRuntime } from '../pod/pod-runtime.ts';
import { HttpError } from './http-error.ts';

/** Answers `/containerLogs/NS/POD/CONTAINER?follow&tailLines&...` until the log ends or the client goes. */
export async function serveContainerLog(
  pod: PodRuntime,
  container: ContainerLoop,
  query: URLSearchParams,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const options = parseLogOptions(query);
  const isPrevious = isTrue(query, 'previous');
  const attempt = isPrevious ? container.attempt - 1 : container.attempt;
  const path = pod.logPath(container.name, attempt);
  const live = !isPrevious && container.log && !container.log.ended ? container.log : undefined;
  const name = `container "${container.name}" in pod "${pod.pod.metadata.name}"`;
  if (isPrevious && !existsSync(path)) throw new HttpError(400, `previous terminated ${name} not found`);
  if (!live && !existsSync(path)) {
    const { waiting } = container.state;
    // Started, but silent to its end.
    if (!waiting) return void response.writeHead(200, { 'Content-Type': 'text/plain' }).end();
    throw new HttpError(400, `${name} is waiting to start: ${waitingText(waiting)}`);
  }
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  request.socket.setNoDelay(true);
  response.writeHead(200, { 'Content-Type': 'text/plain' });
  response.flushHeaders();
  try {
    await pipeline(Readable.from(readLog(path, live, options, gone.signal)), response);
  } catch (error) {
    if (!gone.signal.aborted) throw error;
  }
}

function waitingText({ reason, message }: { reason: string; message?: string }): string {
  return reason === 'ErrImagePull' || reason === 'ImagePullBackOff'
    ? 'trying and failing to pull image'
    : reason === 'CreateContainerConfigError'
      ? `${reason}: ${message ?? ''}`
      : reason;
}

/** @throws HttpError 400 for what is no number or no time */
function parseLogOptions(query: URLSearchParams): LogOptions {
  const sinceSeconds = count(query, 'sinceSeconds');
  const sinceTime = query.get('sinceTime');
  const since =
    sinceSeconds !== undefined
      ? new Date(Date.now() - sinceSeconds * 1000)
      : sinceTime
        ? new Date(sinceTime)
        : undefined;
  if (since && Number.isNaN(since.getTime())) throw new HttpError(400, `sinceTime "${sinceTime}" is not a time`);
  const stream = query.get('stream')?.toLowerCase();
  return {
    follow: isTrue(query, 'follow'),
    timestamps: isTrue(query, 'timestamps'),
    tailLines: count(query, 'tailLines'),
    limitBytes: count(query, 'limitBytes'),
    since,
    stream: stream === 'stdout' || stream === 'stderr' ? stream : undefined,
  };
}

function isTrue(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  return value === 'true' || value === '1' || value === '';
}

function count(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === '') return undefined;
  if (!/^\d+$/.test(value)) throw new HttpError(400, `${name} "${value}" is not a number of 0 or more`);
  return Number(value);
}
