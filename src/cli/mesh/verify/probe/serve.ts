// SPDX-License-Identifier: Apache-2.0
// What is asked: says whose probe it is, and which certificate its sidecar saw.
import { createServer } from 'node:http';
import type { ProbeReply } from './wire.ts';

/** Serves until `signal` aborts. */
export function serveProbe(cluster: string, port: number, signal: AbortSignal): Promise<void> {
  const server = createServer((request, response) => {
    const header = request.headers['x-forwarded-client-cert'];
    const reply: ProbeReply = { cluster, clientCertificate: typeof header === 'string' ? header : '' };
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(`${JSON.stringify(reply)}\n`);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('close', resolve);
    signal.addEventListener('abort', () => {
      server.close();
      server.closeAllConnections();
    });
    server.listen(port);
  });
}
