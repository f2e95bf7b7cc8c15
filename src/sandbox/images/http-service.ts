// SPDX-License-Identifier: Apache-2.0
// What the sample services share: a small HTTP server, JSON answers, and the headers they pass on.
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
}

export type Handler = (request: IncomingMessage, path: string) => Promise<Answer> | Answer;

/**
 * Headers that every service passes to the services it calls: the user, and what traces one request through the mesh
 * (W3C trace context, B3, Envoy's request id).
 */
const FORWARDED = [
  'end-user',
  'user-agent',
  'x-request-id',
  'traceparent',
  'tracestate',
  'b3',
  'x-b3-traceid',
  'x-b3-spanid',
  'x-b3-parentspanid',
  'x-b3-sampled',
  'x-b3-flags',
  'x-ot-span-context',
];

export function forwardedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = headers[name];
    if (typeof value === 'string') forwarded[name] = value;
  }
  return forwarded;
}

export function json(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

/** Reads a request's body, at most 64 KiB. */
export async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request) {
    body += chunk;
    if (body.length > 65_536) throw new Error('the body is longer than 64 KiB');
  }
  return body;
}

/** Within the usual grace period, with room for a preStop. */
const LAST_ANSWER_MS = 20_000;

/** Serves on 0.0.0.0:`port` until SIGTERM, then finishes the requests at hand. */
export function serve(name: string, port: number, handle: Handler): void {
  const server = createServer((request, response) => void respond(name, handle, request, response));
  server.listen(port, '0.0.0.0', () => console.log(`${name} listens on ${port}`));
  // Longer than Envoy's idle pools live, so that the proxy never meets a connection that closes under it.
  server.keepAliveTimeout = 3_600_000;
  process.on('SIGTERM', () => {
    server.close(() => process.exit(0));
    // Those that are busy now are idle later, and nobody else would end them.
    setInterval(() => server.closeIdleConnections(), 50);
    setTimeout(() => process.exit(0), LAST_ANSWER_MS).unref();
  });
}

async function respond(
  name: string,
  handle: Handler,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const path = (request.url ?? '/').replace(/\?.*$/, '');
  let answer: Answer;
  try {
    answer = await handle(request, path);
  } catch (error) {
    console.error(`${name}: ${request.method} ${path}: ${error instanceof Error ? error.message : error}`);
    answer = json(500, { error: 'internal error' });
  }
  response.writeHead(answer.status, { 'content-length': Buffer.byteLength(answer.body), ...answer.headers });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}

/** GET of another service: its JSON, or the status (0: no connection) when there is none to be had. */
export async function fetchJson(
  url: string,
  headers: Record<string, string>,
  timeoutMs: number,
): Promise<{ status: number; value: unknown }> {
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) });
    if (!response.ok) {
      await response.body?.cancel();
      return { status: response.status, value: undefined };
    }
    return { status: response.status, value: await response.json() };
  } catch {
    return { status: 0, value: undefined };
  }
}

/** A service's address: `<NAME>_HOSTNAME`, SERVICES_DOMAIN and `<NAME>_SERVICE_PORT`-like settings of the original images. */
export function serviceUrl(service: string): string {
  const variable = service.toUpperCase();
  const domain = process.env['SERVICES_DOMAIN'] ? `.${process.env['SERVICES_DOMAIN']}` : '';
  const host = process.env[`${variable}_HOSTNAME`] ?? service;
  return `http://${host}${domain}:9080`;
}

export const PORT = 9080;
