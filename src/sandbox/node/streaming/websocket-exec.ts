// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import { type Duplex, Readable, Writable } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import { type ExecRun, exitStatus, failureStatus, ResizeChannel, type StreamSelection } from './exec-session.ts';
import { refuseUpgrade } from './upgrade.ts';

// A message's first byte is its channel. v5 adds CLOSE: [255, channel] half-closes one (KEP-4006).
const CHANNEL = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const PROTOCOLS = ['v5.channel.k8s.io', 'v4.channel.k8s.io', 'channel.k8s.io'] as const;
type ExecProtocol = (typeof PROTOCOLS)[number];

/** Serves exec or attach over WebSocket. Resolves when the connection has closed. */
export async function serveWebSocketExec(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  selection: StreamSelection,
  run: ExecRun,
): Promise<void> {
  const protocol = selectProtocol(req.headers['sec-websocket-protocol']);
  if (!protocol) {
    refuseUpgrade(
      socket,
      400,
      `unable to upgrade: none of the client's protocols (${req.headers['sec-websocket-protocol']}) is one of ${PROTOCOLS.join(', ')}`,
    );
    return;
  }
  const server = new WebSocketServer({ noServer: true, handleProtocols: () => protocol, perMessageDeflate: false });
  await new Promise<void>((resolve) => {
    socket.once('close', resolve);
    server.handleUpgrade(req, socket, head, (ws) => {
      ws.once('close', () => resolve());
      void runSession(ws, protocol, selection, run);
    });
  });
}

/** The first of the client's protocols that we know; one without a name speaks the oldest. */
function selectProtocol(header: string | undefined): ExecProtocol | undefined {
  if (header === undefined) return 'channel.k8s.io';
  for (const offered of header.split(',')) {
    const known = PROTOCOLS.find((protocol) => protocol === offered.trim());
    if (known) return known;
  }
  return undefined;
}

async function runSession(
  ws: WebSocket,
  protocol: ExecProtocol,
  selection: StreamSelection,
  run: ExecRun,
): Promise<void> {
  const gone = new AbortController();
  ws.on('error', () => ws.terminate());
  ws.once('close', () => gone.abort());
  const resize = new ResizeChannel();
  const stdin = selection.stdin ? stdinOf(ws) : undefined;
  receiveMessages(ws, stdin, resize);
  await untilItReads(ws);
  // An empty message tells clients that the connection stands before any output comes.
  const first = selection.stdout ? CHANNEL.stdout : selection.stderr ? CHANNEL.stderr : CHANNEL.error;
  ws.send(Buffer.of(first));
  let status: Record<string, unknown>;
  try {
    const { exitCode } = await run({
      stdin,
      stdout: channelWriter(ws, selection.stdout ? CHANNEL.stdout : undefined),
      stderr: channelWriter(ws, selection.stderr ? CHANNEL.stderr : undefined),
      tty: selection.tty,
      onResize: (listener) => resize.listen(listener),
      signal: gone.signal,
    });
    status = exitStatus(exitCode);
  } catch (error) {
    status = failureStatus(error);
  }
  sendStatus(ws, protocol, status);
  stdin?.destroy();
  ws.resume();
  ws.close(1000);
}

/** A client that does not answer pings has had time enough by then. */
const READS_WITHIN_MS = 200;

/**
 * kubectl makes its channels while it begins to read, and drops what comes before it has them ("Unknown stream id 1,
 * discarding message"). Containers of other runtimes are too slow to lose anything by that; ours are not.
 */
async function untilItReads(ws: WebSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, READS_WITHIN_MS);
    const done = (): void => {
      clearTimeout(timer);
      resolve();
    };
    ws.once('pong', done);
    ws.once('close', done);
    ws.ping();
  });
}

/** Up to v3 the error channel carries text, and nothing on success; from v4 on always a Status. */
function sendStatus(ws: WebSocket, protocol: ExecProtocol, status: Record<string, unknown>): void {
  if (protocol === 'channel.k8s.io' && status.status === 'Success') return;
  const text = protocol === 'channel.k8s.io' ? String(status.message) : JSON.stringify(status);
  ws.send(Buffer.concat([Buffer.of(CHANNEL.error), Buffer.from(text)]));
}

function stdinOf(ws: WebSocket): Readable {
  const stdin = new Readable({ read: () => ws.resume() });
  ws.once('close', () => stdin.push(null));
  return stdin;
}

function receiveMessages(ws: WebSocket, stdin: Readable | undefined, resize: ResizeChannel): void {
  let stdinOpen = stdin !== undefined;
  ws.on('message', (data: Buffer) => {
    const payload = data.subarray(1);
    switch (data[0]) {
      case CHANNEL.stdin:
        // The socket as a whole is paused: there is no window per channel, and only stdin ever grows.
        if (stdinOpen && payload.length > 0 && !stdin?.destroyed && !stdin?.push(payload)) ws.pause();
        break;
      case CHANNEL.resize:
        resize.receive(payload.toString());
        break;
      case CHANNEL.close:
        if (payload[0] === CHANNEL.stdin && stdinOpen) {
          stdinOpen = false;
          if (!stdin?.destroyed) stdin?.push(null);
        }
        break;
    }
  });
}

function channelWriter(ws: WebSocket, channel: number | undefined): Writable {
  const writer = new Writable({
    write(chunk: Buffer, _encoding, done) {
      // After the client has gone the program may still write; its output has nowhere to go.
      if (channel === undefined || ws.readyState !== ws.OPEN) done();
      else ws.send(Buffer.concat([Buffer.of(channel), chunk]), () => done());
    },
  });
  // Whoever pipes into it may destroy it with an error that nobody else waits for.
  return writer.on('error', () => undefined);
}
