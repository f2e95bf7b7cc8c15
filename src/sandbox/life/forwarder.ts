// SPDX-License-Identifier: Apache-2.0
// From a port of the host to a unix socket of the sandbox's portal. Knows no protocol, but that both speak HTTP/1.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { relay } from '../network/relay.ts';

/** The portal starts a moment after the port is open, and again if it fails. */
const PORTAL_PATIENCE_MS = 3_000;
const RETRY_MS = 50;

const UNAVAILABLE = (() => {
  const text = 'The sandbox is not ready. See: isthmus sandbox status\n';
  const head = 'HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n';
  return `${head}content-length: ${text.length}\r\n\r\n${text}`;
})();

/** @param socketPath relative to the working directory of the process. */
export function forwardToSocket(socketPath: string): Server {
  return createServer({ allowHalfOpen: true, pauseOnConnect: true }, async (client) => {
    client.on('error', () => client.destroy());
    const portal = await dialPatiently(socketPath, client);
    if (portal === undefined) {
      client.end(UNAVAILABLE);
      client.resume();
      return;
    }
    void relay(client, portal);
    client.resume();
  });
}

async function dialPatiently(socketPath: string, client: Socket): Promise<Socket | undefined> {
  const deadline = performance.now() + PORTAL_PATIENCE_MS;
  while (!client.destroyed) {
    const portal = await dial(socketPath);
    if (portal !== undefined) return portal;
    if (performance.now() > deadline) return undefined;
    await sleep(RETRY_MS);
  }
  return undefined;
}

function dial(socketPath: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ path: socketPath, allowHalfOpen: true });
    const fail = () => resolve(undefined);
    socket.once('error', fail);
    socket.once('connect', () => {
      socket.off('error', fail);
      resolve(socket);
    });
  });
}
