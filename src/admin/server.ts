// SPDX-License-Identifier: Apache-2.0
// The control plane's read-only side: readiness and metrics for everybody, the inside for its own machine only.
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AdminViews {
  /** What is still missing; empty when ready. */
  readonly missing: () => readonly string[];
  /** Prometheus text. */
  readonly metrics: () => Promise<{ contentType: string; text: string }>;
  /** Name below /debug/ -> what to show there as JSON, for what stands behind the `?`. */
  readonly debug: Readonly<Record<string, (query: URLSearchParams) => unknown>>;
}

/** Serves until `signal` aborts; resolves with the port when it listens. */
export async function startAdminServer(
  listen: { host: string; port: number },
  views: AdminViews,
  signal: AbortSignal,
): Promise<{ port: number }> {
  const server = createServer((request, response) => {
    // Whoever can reach the port may ask anything: no question may end the process.
    serve(views, request, response).catch(() => {
      if (response.headersSent) response.destroy();
      else send(response, 500, 'text/plain', 'this could not be shown\n');
    });
  });
  server.listen(listen.port, listen.host);
  await once(server, 'listening');
  const stop = (): void => {
    server.close();
    server.closeAllConnections();
  };
  if (signal.aborted) stop();
  else signal.addEventListener('abort', stop, { once: true });
  return { port: (server.address() as AddressInfo).port };
}

async function serve(views: AdminViews, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'text/plain', 'only GET\n');
  if (path === '/live') return send(response, 200, 'text/plain', 'live\n');
  if (path === '/ready') {
    const missing = views.missing();
    return missing.length === 0
      ? send(response, 200, 'text/plain', 'ready\n')
      : send(response, 503, 'text/plain', `not ready: ${missing.join(', ')}\n`);
  }
  if (path === '/metrics') {
    const { contentType, text } = await views.metrics();
    return send(response, 200, contentType, text);
  }
  const name = path.startsWith('/debug/') ? path.slice('/debug/'.length) : undefined;
  const view = name !== undefined && Object.hasOwn(views.debug, name) ? views.debug[name] : undefined;
  if (view === undefined) return send(response, 404, 'text/plain', 'nothing here\n');
  if (!isLoopback(request.socket.remoteAddress ?? '')) {
    return send(response, 403, 'text/plain', 'only from this machine: use kubectl port-forward or kubectl exec\n');
  }
  return send(response, 200, 'application/json', `${JSON.stringify(view(new URLSearchParams(query)), toJson, 2)}\n`);
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1' || address.startsWith('::ffff:127.');
}

/** Maps and sets would be shown as {}. */
function toJson(_key: string, value: unknown): unknown {
  if (value instanceof Map) return Object.fromEntries(value);
  if (value instanceof Set) return [...value];
  return value;
}

function send(response: ServerResponse, code: number, contentType: string, body: string): void {
  response.writeHead(code, { 'content-type': contentType }).end(body);
}
