// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecRun, parseStreamSelection, type StreamSelection } from './exec-session.ts';
import { serveSpdyExec } from './spdy-exec.ts';
import { refuseUpgrade } from './upgrade.ts';
import { serveWebSocketExec } from './websocket-exec.ts';

/**
 * Serves one upgrade request of exec or attach on the kubelet's port: WebSocket (v5, v4 and the legacy
 * channel.k8s.io) or SPDY/3.1, as the client asks. Call it in the server's 'upgrade' event, after authentication.
 * Resolves when the connection is done with; never rejects, since by then the client has been told.
 *
 * @param run starts the command when the client's streams are there, and ends with its exit code.
 * @param selection which streams; from the request's query when absent.
 */
export async function handleExecUpgrade(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  run: ExecRun,
  selection?: StreamSelection,
): Promise<void> {
  // The peer may reset at any time; without a listener that would end the process.
  socket.on('error', () => socket.destroy());
  let streams: StreamSelection;
  try {
    streams = selection ?? parseStreamSelection(new URL(req.url ?? '/', 'http://kubelet').searchParams);
  } catch (error) {
    refuseUpgrade(socket, 400, (error as Error).message);
    return;
  }
  const upgrade = (req.headers.upgrade ?? '').toLowerCase();
  if (upgrade === 'websocket') await serveWebSocketExec(req, socket, head, streams, run);
  else if (upgrade === 'spdy/3.1') await serveSpdyExec(req, socket, head, streams, run);
  else refuseUpgrade(socket, 400, `unable to upgrade: "${req.headers.upgrade}" is neither websocket nor SPDY/3.1`);
}
