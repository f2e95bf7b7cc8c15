// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';

/** Refuses each path twice with 503 before it answers: who asks has to try again, and no chance decides how often. */
export async function flakyBackend(name: string): Promise<Server> {
  const refused = new Map<string, number>();
  const server = createServer((request, response) => {
    request.resume();
    request.on('error', () => {});
    request.on('end', () => {
      const path = request.url ?? '';
      const count = refused.get(path) ?? 0;
      if (count < 2) refused.set(path, count + 1);
      else refused.delete(path);
      response.statusCode = count < 2 ? 503 : 200;
      response.setHeader('x-backend', name);
      response.end(JSON.stringify({ name, body: '' }));
    });
  });
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}
