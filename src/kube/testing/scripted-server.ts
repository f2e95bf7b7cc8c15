// SPDX-License-Identifier: Apache-2.0
// A server that says what a test tells it to: for the protocol's bad moments, which a good server does not have.
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

export interface Exchange {
  readonly method: string;
  readonly url: URL;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
  readonly response: ServerResponse;
  readonly socket: Socket;
}

export interface ScriptedServer {
  readonly address: string;
  readonly exchanges: Exchange[];
  close(): Promise<void>;
}

/** @param answer called for each request, in order; `index` counts from 0 */
export async function startScriptedServer(
  answer: (exchange: Exchange, index: number) => void | Promise<void>,
): Promise<ScriptedServer> {
  const exchanges: Exchange[] = [];
  const server = http.createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      const text = Buffer.concat(parts).toString('utf8');
      const exchange: Exchange = {
        method: request.method ?? '',
        url: new URL(request.url ?? '/', 'http://server'),
        headers: request.headers,
        body: text === '' ? undefined : JSON.parse(text),
        response,
        socket: request.socket,
      };
      exchanges.push(exchange);
      void answer(exchange, exchanges.length - 1);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

export function sendJson(
  { response }: Exchange,
  body: unknown,
  code = 200,
  headers: Record<string, string> = {},
): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

export function sendStatus(exchange: Exchange, code: number, reason: string, message: string): void {
  sendJson(
    exchange,
    { apiVersion: 'v1', kind: 'Status', metadata: {}, status: 'Failure', code, reason, message },
    code,
  );
}

/** Opens a watch's answer; the events given are sent, the connection stays. */
export function sendEvents({ response }: Exchange, events: readonly unknown[]): void {
  if (!response.headersSent) {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.flushHeaders();
  }
  for (const event of events) response.write(`${JSON.stringify(event)}\n`);
}

export function configMap(
  name: string,
  resourceVersion: number,
  uid = `uid-${name}`,
  data: Record<string, string> = {},
) {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'ns', uid, resourceVersion: String(resourceVersion) },
    data,
  };
}

export function configMapList(resourceVersion: number, items: unknown[], next?: string) {
  const metadata = { resourceVersion: String(resourceVersion), ...(next ? { continue: next } : {}) };
  return { apiVersion: 'v1', kind: 'ConfigMapList', metadata, items };
}
