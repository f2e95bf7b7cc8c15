// SPDX-License-Identifier: Apache-2.0
// Asks another DNS server, byte for byte, by the transport that the client used.
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import type { DnsUpstream } from './stub-domains.ts';

export type Transport = 'udp' | 'tcp';

const TIMEOUT_MS = 2_000;

/**
 * Tries the servers in order until one answers.
 * @param query a whole DNS message; its id is replaced on the way, by one that an off-path forger would have to guess.
 * @returns the answer with the query's own id, or undefined when no server answered.
 */
export async function forwardQuery(
  query: Buffer,
  servers: readonly DnsUpstream[],
  transport: Transport,
): Promise<Buffer | undefined> {
  const asked = Buffer.from(query);
  asked.writeUInt16BE(randomInt(0x1_0000), 0);
  for (const server of servers) {
    const answer = await (transport === 'udp' ? askUdp(asked, server) : askTcp(asked, server));
    if (answer === undefined) continue;
    query.copy(answer, 0, 0, 2);
    return answer;
  }
  return undefined;
}

function askUdp(query: Buffer, server: DnsUpstream): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const finish = (answer?: Buffer) => {
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    const timer = setTimeout(finish, TIMEOUT_MS);
    socket.once('error', () => finish());
    socket.on('message', (message) => {
      if (isAnswerTo(query, message)) finish(message);
    });
    socket.connect(server.port, server.host, () => socket.send(query));
  });
}

/** RFC 1035 section 4.2.2: each message behind its length in two bytes. */
function askTcp(query: Buffer, server: DnsUpstream): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: server.host, port: server.port });
    let received = Buffer.alloc(0);
    const finish = (answer?: Buffer) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(finish, TIMEOUT_MS);
    socket.once('error', () => finish());
    socket.once('close', () => finish());
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      const length = received.length < 2 ? undefined : received.readUInt16BE(0);
      if (length === undefined || received.length < 2 + length) return;
      const message = received.subarray(2, 2 + length);
      finish(isAnswerTo(query, message) ? Buffer.from(message) : undefined);
    });
    socket.once('connect', () => socket.write(withLength(query)));
  });
}

export function withLength(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

function isAnswerTo(query: Buffer, message: Buffer): boolean {
  return message.length >= 12 && message.readUInt16BE(0) === query.readUInt16BE(0) && (message[2]! & 0x80) !== 0;
}
