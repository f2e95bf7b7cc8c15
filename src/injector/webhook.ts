// SPDX-License-Identifier: Apache-2.0
// The server side of admission webhooks (admission.k8s.io/v1 AdmissionReview), for injection and for validation.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import type { KubeObject } from '../kube/types.ts';
import { Shares } from './shares.ts';

export interface AdmissionRequest {
  readonly uid: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE' | 'CONNECT';
  readonly namespace?: string;
  readonly dryRun?: boolean;
  readonly object: KubeObject | null;
}

export interface AdmissionAnswer {
  readonly allowed: boolean;
  /** Why it was refused. */
  readonly message?: string;
  readonly warnings?: readonly string[];
  /** RFC 6902 operations. */
  readonly patch?: readonly unknown[];
}

/** Path -> what answers there. What it throws refuses the request, with its message. */
export type AdmissionHandlers = Readonly<
  Record<string, (request: AdmissionRequest) => AdmissionAnswer | Promise<AdmissionAnswer>>
>;

/** The API server's own limit is 3 MiB for an object; a review holds two. */
const MAX_BODY_BYTES = 8 * 1024 * 1024;

/** The API servers call from few addresses, and many times at once; any pod can call too. */
export interface WebhookLimits {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  /** Of reviews that are being read, together. */
  readonly maxPendingBytes: number;
  readonly maxPendingBytesPerAddress: number;
}

const DEFAULT_LIMITS: WebhookLimits = {
  maxConnections: 2_048,
  maxConnectionsPerAddress: 512,
  maxPendingBytes: 96 * 1024 * 1024,
  maxPendingBytesPerAddress: 32 * 1024 * 1024,
};
/** Of one warning, and of all together (the API server cuts what is longer). */
const MAX_WARNING = 250;

/** Not listening yet; `setSecureContext` gives it a renewed certificate. */
export function createWebhookServer(
  handlers: AdmissionHandlers,
  tls: { cert: string; key: string },
  limits: WebhookLimits = DEFAULT_LIMITS,
): Server {
  const pending = new Shares(limits.maxPendingBytes, limits.maxPendingBytesPerAddress);
  const server = createServer({ ...tls, minVersion: 'TLSv1.2' }, (request, response) => {
    // Anybody who reaches the port may send anything: nothing of it may end the process.
    serve(handlers, pending, request, response).catch((error: Error) => {
      if (response.headersSent) response.destroy();
      else end(response, 400, error.message);
    });
  });
  const connections = new Shares(limits.maxConnections, limits.maxConnectionsPerAddress);
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    if (connections.take(address, 1)) socket.once('close', () => connections.giveBack(address, 1));
    else socket.destroy();
  });
  server.headersTimeout = 10_000;
  server.requestTimeout = 20_000;
  return server;
}

async function serve(
  handlers: AdmissionHandlers,
  pending: Shares,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path = '/'] = (request.url ?? '/').split('?');
  const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (handler === undefined) return end(response, 404, 'no such webhook');
  if (request.method !== 'POST') return end(response, 405, 'send an AdmissionReview by POST');
  let review: { apiVersion?: string; kind?: string; request?: AdmissionRequest } | null;
  try {
    review = JSON.parse(await readBody(request, pending)) as typeof review;
  } catch (error) {
    return end(response, error instanceof Overload ? 503 : 400, (error as Error).message);
  }
  const admission = review?.request;
  if (review?.kind !== 'AdmissionReview' || admission?.uid === undefined)
    return end(response, 400, 'not an AdmissionReview');
  const body = {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    response: await answer(admission, handler),
  };
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function answer(request: AdmissionRequest, handler: AdmissionHandlers[string]): Promise<Record<string, unknown>> {
  let result: AdmissionAnswer;
  try {
    result = await handler(request);
  } catch (error) {
    result = { allowed: false, message: (error as Error).message };
  }
  const { allowed, message, warnings = [], patch = [] } = result;
  return {
    uid: request.uid,
    allowed,
    ...(message === undefined ? {} : { status: { code: allowed ? 200 : 400, message } }),
    ...(warnings.length === 0 ? {} : { warnings: warnings.map((text) => text.slice(0, MAX_WARNING)) }),
    ...(patch.length === 0
      ? {}
      : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
  };
}

async function readBody(request: IncomingMessage, pending: Shares): Promise<string> {
  const address = request.socket.remoteAddress ?? '';
  const chunks: Buffer[] = [];
  let size = 0;
  let taken = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > MAX_BODY_BYTES) throw new Error('the review is too large');
      if (!pending.take(address, chunk.length)) throw new Overload('too much is being read; try again later');
      taken += chunk.length;
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  } finally {
    pending.giveBack(address, taken);
  }
}

class Overload extends Error {}

function end(response: ServerResponse, code: number, message: string): void {
  response.writeHead(code, { 'content-type': 'text/plain' }).end(`${message}\n`);
}
