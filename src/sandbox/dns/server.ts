// SPDX-License-Identifier: Apache-2.0
// The DNS server's sockets: UDP, and TCP with several queries per connection (RFC 7766).
import { createSocket } from 'node:dgram';
import { createServer, type Socket } from 'node:net';
import { withLength } from './forward-query.ts';
import type { Resolver } from './resolver.ts';

const TCP_IDLE_MS = 10_000;

export interface DnsServer {
  /** Where it listens; useful when port 0 was asked for. */
  readonly port: number;
  close(): void;
}

export async function serveDns(resolver: Resolver, listen: { host: string; port: number }): Promise<DnsServer> {
  const tcp = createServer((socket) => serveConnection(resolver, socket));
  await new Promise<void>((resolve, reject) => {
    tcp.once('error', reject);
    tcp.listen({ ...listen }, () => resolve());
  });
  const { port } = tcp.address() as { port: number };
  const udp = createSocket('udp4');
  udp.on('message', async (message, { address, port: clientPort }) => {
    // Forged: nobody can be answered there, and to try throws.
    if (clientPort === 0) return;
    const answer = await resolver(message, 'udp');
    // A client that has gone meanwhile is no error of ours.
    if (answer !== undefined) udp.send(answer, clientPort, address, () => {});
  });
  await new Promise<void>((resolve, reject) => {
    udp.once('error', reject);
    udp.bind({ address: listen.host, port, exclusive: true }, () => resolve());
  });
  return {
    port,
    close() {
      udp.close();
      tcp.close();
    },
  };
}

function serveConnection(resolver: Resolver, socket: Socket): void {
  let received = Buffer.alloc(0);
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', async (chunk) => {
    received = Buffer.concat([received, chunk]);
    for (;;) {
      const length = received.length < 2 ? undefined : received.readUInt16BE(0);
      if (length === undefined || received.length < 2 + length) return;
      const message = received.subarray(2, 2 + length);
      received = received.subarray(2 + length);
      const answer = await resolver(message, 'tcp');
      if (answer === undefined || !socket.writable) {
        socket.destroy();
        return;
      }
      socket.write(withLength(answer));
    }
  });
}
