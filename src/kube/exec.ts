// SPDX-License-Identifier: Apache-2.0
// A command in a container of a pod, over WebSocket: the first byte of a message is its channel (v5.channel.k8s.io,
// https://github.com/kubernetes/enhancements/tree/master/keps/sig-api-machinery/4006-transition-spdy-to-websockets).
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import type { RawData } from 'ws';
import type { KubeClient } from './client.ts';
import { PODS, resourcePath } from './resources.ts';
import type { Status } from './types.ts';

export interface ExecRequest {
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly command: readonly string[];
  /** A terminal in the container; stderr goes to stdout then. */
  readonly tty: boolean;
  readonly stdin: Readable;
  readonly stdout: Writable;
  readonly stderr: Writable;
  /** Columns and rows, now and whenever `onResize` says so. */
  readonly terminalSize?: () => { readonly Width: number; readonly Height: number };
  readonly onResize?: (listener: () => void) => void;
}

const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;

/** Runs the command to its end. @returns its exit code. @throws Error with what the server said, or why it cannot be reached. */
export async function execInPod(client: KubeClient, request: ExecRequest): Promise<number> {
  const query = new URLSearchParams({ container: request.container, stdin: 'true', stdout: 'true' });
  query.set(request.tty ? 'tty' : 'stderr', 'true');
  for (const word of request.command) query.append('command', word);
  const path = `${resourcePath(PODS, request.namespace, request.pod, 'exec')}?${query}`;
  const socket = await client.openWebSocket(path, ['v5.channel.k8s.io']);
  const send = (channel: number, content: Buffer | string) => {
    if (socket.readyState === socket.OPEN) socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(content)]));
  };
  return new Promise((resolve, reject) => {
    let verdict: Status | undefined;
    socket.on('open', () => {
      const resize = () => request.terminalSize && send(CHANNEL.resize, JSON.stringify(request.terminalSize()));
      resize();
      request.onResize?.(resize);
      request.stdin.on('data', (chunk: Buffer) => send(CHANNEL.stdin, chunk));
      request.stdin.once('end', () => send(CHANNEL.close, Buffer.of(CHANNEL.stdin)));
    });
    socket.on('message', (data: RawData) => {
      const message = data as Buffer;
      const content = message.subarray(1);
      if (message[0] === CHANNEL.stdout) request.stdout.write(content);
      else if (message[0] === CHANNEL.stderr) request.stderr.write(content);
      else if (message[0] === CHANNEL.error) verdict = JSON.parse(content.toString('utf8')) as Status;
    });
    socket.on('error', reject);
    socket.on('unexpected-response', (_, response) => {
      text(response).then((body) => reject(new Error(refusalOf(body) || `HTTP ${response.statusCode}`)), reject);
    });
    socket.on('close', () => {
      request.stdin.pause();
      const code = exitCodeOf(verdict);
      if (code === undefined) reject(new Error(verdict?.message ?? 'the connection broke off'));
      else resolve(code);
    });
  });
}

/** A Status, or what the node itself says. */
function refusalOf(body: string): string | undefined {
  try {
    return (JSON.parse(body) as Partial<Status>).message;
  } catch {
    return body.trim().slice(0, 300);
  }
}

/** undefined: it did not run to its end. */
function exitCodeOf(verdict: Status | undefined): number | undefined {
  if (verdict?.status === 'Success') return 0;
  const cause = verdict?.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  return cause?.message === undefined ? undefined : Number(cause.message);
}
