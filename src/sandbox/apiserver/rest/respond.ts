// SPDX-License-Identifier: Apache-2.0
import type { IncomingMessage, ServerResponse } from 'node:http';
import { stringify } from 'yaml';
import { type ApiError, asApiError } from '../status.ts';
import type { Representation } from './negotiation.ts';

export function sendJson(response: ServerResponse, code: number, body: unknown): void {
  sendText(response, code, 'application/json', JSON.stringify(body));
}

export function sendText(response: ServerResponse, code: number, type: string, text: string | Buffer): void {
  if (response.headersSent) return;
  const bytes = typeof text === 'string' ? Buffer.from(text) : text;
  response.writeHead(code, {
    'Content-Type': type,
    'Content-Length': bytes.length,
    'Cache-Control': 'no-cache, private',
  });
  response.end(bytes);
}

export function sendObject(response: ServerResponse, code: number, body: unknown, form: Representation): void {
  if (form.encoding === 'yaml')
    sendText(response, code, 'application/yaml', stringify(body, { aliasDuplicateObjects: false }));
  else sendJson(response, code, body);
}

export function sendError(request: IncomingMessage, response: ServerResponse, error: unknown): ApiError {
  const refusal = asApiError(error);
  if (response.headersSent) {
    response.destroy();
    return refusal;
  }
  for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value);
  // A body that nobody read must not be taken for the next request.
  if (!request.complete) response.setHeader('Connection', 'close');
  sendJson(response, refusal.code, refusal.status);
  return refusal;
}

/** A Warning header (RFC 9110 once called it 299), shown by kubectl. */
export function addWarning(response: ServerResponse, message: string): void {
  if (response.headersSent) return;
  const text = message.replace(/\p{Cc}+/gu, ' ').replace(/["\\]/g, '\\$&');
  // Kubernetes sends UTF-8, and kubectl reads it so; Node takes a header's bytes as Latin-1 characters.
  response.appendHeader('Warning', Buffer.from(`299 - "${text}"`).toString('latin1'));
}
