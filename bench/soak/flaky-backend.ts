// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';

/** Refuses every third request with 503 before it answers: who asks has to try again. */
export async function flakyBackend(name: string): Promise<Server> {
  let count = 0;
  const server = createServer((request, response) => {
    request.resume();
    request.on('error', () => {});
    request.on('end', () => {
      response.statusCode = count++ % 3 === 0 ? 503 : 200;
      response.setHeader('x-backend', name);
      response.end(JSON.stringify({ name, body: '' }));
    });
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
