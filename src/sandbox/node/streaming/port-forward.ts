// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, WebSocketServer } from 'ws';
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts';
import { acceptSpdyUpgrade, offeredProtocols } from './spdy-exec.ts';
import { refuseUpgrade } from './upgrade.ts';

const PROTOCOL = 'portforward.k8s.io';
/** kubectl from 1.31 on: the same SPDY connection, as the bytes of a WebSocket (KEP-4006). */
const TUNNEL_PROTOCOL = 'SPDY/3.1+portforward.k8s.io';
/** The two streams of one connection follow each other at once; a stream whose other half never comes is given up. */
const PAIR_WAIT_MS = 30_000;

/** Connects to a port of the pod, as from inside it. A rejection's message is shown to the client. */
export type PortDialer = (port: number) => Promise<Duplex>;

/** Serves one upgrade request of port-forward. Resolves when the connection has closed; never rejects. */
export async function handlePortForwardUpgrade(
  req: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  dial: PortDialer,
): Promise<void> {
  socket.on('error', () => socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  const upgrade = (req.headers.upgrade ?? '').toLowerCase();
  if (upgrade === 'spdy/3.1') {
    const offered = offeredProtocols(req);
    if (!offered.includes(PROTOCOL)) {
      refuseUpgrade(socket, 403, `unable to upgrade: client supports [${offered}], server accepts [${PROTOCOL}]`);
    } else {
      acceptSpdyUpgrade(socket, PROTOCOL);
      serveConnection(socket, head, dial);
    }
  } else if (upgrade === 'websocket') {
    serveTunnel(req, socket, head, dial);
  } else {
    refuseUpgrade(socket, 400, `unable to upgrade: "${req.headers.upgrade}" is neither websocket nor SPDY/3.1`);
  }
  await closed;
}

function serveTunnel(req: IncomingMessage, socket: Duplex, head: Buffer, dial: PortDialer): void {
  const offered = (req.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  if (!offered.includes(TUNNEL_PROTOCOL)) {
    refuseUpgrade(
      socket,
      400,
      `unable to upgrade: port-forward over WebSocket needs the subprotocol ${TUNNEL_PROTOCOL}`,
    );
    return;
  }
  const server = new WebSocketServer({
    noServer: true,
    handleProtocols: () => TUNNEL_PROTOCOL,
    perMessageDeflate: false,
  });
  server.handleUpgrade(req, socket, head, (ws) => {
    serveConnection(createWebSocketStream(ws), Buffer.alloc(0), dial);
  });
}

interface StreamPair {
  data?: SpdyStream;
  error?: SpdyStream;
  timer: NodeJS.Timeout;
}

/** Each forwarded connection is an error stream and a data stream with the same requestID. */
function serveConnection(transport: Duplex, head: Buffer, dial: PortDialer): void {
  const pairs = new Map<string, StreamPair>();
  new SpdyConnection(transport, head, (stream) => {
    const type = stream.headers.get('streamtype');
    const port = Number(stream.headers.get('port'));
    const validPort = Number.isInteger(port) && port >= 1 && port <= 65535;
    if ((type !== 'data' && type !== 'error') || !validPort) {
      stream.end();
      stream.resume();
      return;
    }
    const id = stream.headers.get('requestid') ?? `${port}`;
    const pair = pairs.get(id) ?? { timer: setTimeout(() => giveUp(id), PAIR_WAIT_MS) };
    pairs.set(id, pair);
    pair[type] = stream;
    if (!pair.data || !pair.error) return;
    clearTimeout(pair.timer);
    pairs.delete(id);
    void forward(port, pair.data, pair.error, dial);
  });
  const giveUp = (id: string) => {
    const pair = pairs.get(id);
    pairs.delete(id);
    for (const stream of [pair?.data, pair?.error]) stream?.end();
  };
  transport.once('close', () => {
    for (const { timer } of pairs.values()) clearTimeout(timer);
  });
}

async function forward(port: number, data: SpdyStream, error: SpdyStream, dial: PortDialer): Promise<void> {
  error.resume();
  let target: Duplex;
  try {
    target = await dial(port);
  } catch (failure) {
    error.end(`error forwarding port ${port}: ${(failure as Error).message}`);
    data.end();
    data.resume();
    return;
  }
  target.on('error', () => target.destroy());
  // Half-closing matters: clients end their request and then wait for the answer.
  data.pipe(target);
  target.pipe(data);
  target.once('close', () => {
    data.end();
    data.resume();
    error.end();
  });
  data.once('close', () => target.destroy());
}
