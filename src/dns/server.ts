// SPDX-License-Identifier: Apache-2.0
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { answerQuery } from './answer.ts';
import type { GlobalNames } from './global-names.ts';

export interface DnsServerOptions {
  readonly host: string;
  /** 0: any free one, the same for UDP and TCP. */
  readonly port: number;
  /** `global` */
  readonly zones: readonly string[];
  /** Asked for every query. */
  readonly names: () => GlobalNames;
  readonly signal: AbortSignal;
}

/** A client that opens a connection and says nothing is not kept for ever (RFC 7766, section 6.2.3). */
const TCP_IDLE_MS = 10_000;
const MAX_CONNECTIONS = 256;

/** Serves UDP and TCP until `signal` aborts; resolves with the port when both listen. */
export async function startDnsServer(options: DnsServerOptions): Promise<{ port: number }> {
  const { host, zones, names, signal } = options;
  const tcp = createServer((socket) => serveConnection(socket, zones, names));
  tcp.maxConnections = MAX_CONNECTIONS;
  tcp.listen(options.port, host);
  await once(tcp, 'listening');
  const { port } = tcp.address() as AddressInfo;
  const udp = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (query, from) => {
    // Forged: nobody can be answered there, and to try throws.
    if (from.port === 0) return;
    const answer = answerQuery(query, names(), zones, 'udp');
    if (answer !== undefined) udp.send(answer, from.port, from.address, () => {});
  });
  udp.bind(port, host);
  try {
    await once(udp, 'listening');
  } catch (error) {
    tcp.close();
    throw error;
  }
  // What a datagram's way back brings (an unreachable client) is that client's trouble.
  udp.on('error', () => {});
  const connections = new Set<Socket>();
  tcp.on('connection', (socket) => {
    connections.add(socket);
    socket.on('close', () => connections.delete(socket));
  });
  const stop = (): void => {
    udp.close();
    tcp.close();
    for (const socket of connections) socket.destroy();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return { port };
}

/** Each message has its length, two bytes, in front of it (RFC 1035, section 4.2.2). */
function serveConnection(socket: Socket, zones: readonly string[], names: () => GlobalNames): void {
  let pending: Buffer = Buffer.alloc(0);
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    while (pending.length >= 2) {
      const end = 2 + pending.readUInt16BE(0);
      if (pending.length < end) return;
      const answer = answerQuery(pending.subarray(2, end), names(), zones, 'tcp');
      pending = pending.subarray(end);
      if (answer === undefined) {
        socket.destroy();
        return;
      }
      const length = Buffer.alloc(2);
      length.writeUInt16BE(answer.length);
      socket.write(Buffer.concat([length, answer]));
    }
  });
}
