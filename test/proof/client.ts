// SPDX-License-Identifier: Apache-2.0
// Sends a call as an application would, and tells what came back.
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import http2 from 'node:http2';
import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import type { Call, ClientTls, HttpRequest } from '../../src/envoy/simulate/outcome.ts';
import type { WorkloadKeys } from '../scenarios/static-bootstrap.ts';

/** Where the clients of all calls are. */
const CLIENT_ADDRESS = '10.11.12.13';

export interface Answer {
  /** Absent: the connection was closed without an answer. */
  readonly status?: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Where it was bytes, or has a body. */
  readonly body: string;
}

export interface ClientOptions {
  /** Where Envoy listens on 127.0.0.1. */
  readonly port: number;
  readonly keys: WorkloadKeys;
  /** What is said where it is no HTTP. */
  readonly bytes: string;
}

const NOTHING: Answer = { headers: {}, body: '' };
/** A client that waits any longer waits for nothing. */
const PATIENCE_MS = 20_000;

export async function send(call: Call, options: ClientOptions): Promise<Answer> {
  const raw = await dial(call, options.port);
  const timer = setTimeout(() => raw.destroy(), PATIENCE_MS);
  try {
    const { tls: client } = call.connection;
    const socket = client === undefined ? raw : await secure(raw, client, options.keys);
    if (socket === undefined) return NOTHING;
    const { request } = call;
    if (request === undefined) return await sayBytes(socket, `${options.bytes}\n`);
    if (request.protocol === 'h2') return await sendHttp2(socket, request);
    if (request.protocol === 'http/1.0') return await sendOldest(socket, request);
    return await sendHttp1(socket, request);
  } finally {
    clearTimeout(timer);
    raw.destroy();
  }
}

async function dial({ connection: { address, port } }: Call, to: number): Promise<Socket> {
  const socket = net.connect(to, '127.0.0.1');
  socket.on('error', () => {});
  const family = net.isIPv6(address) ? 'TCP6' : 'TCP4';
  const source = family === 'TCP6' ? '2001:db8::13' : CLIENT_ADDRESS;
  socket.write(`PROXY ${family} ${source} ${address} 40000 ${port}\r\n`);
  return socket;
}

/** Undefined: the handshake failed. */
function secure(raw: Socket, client: ClientTls, keys: WorkloadKeys): Promise<tls.TLSSocket | undefined> {
  const { promise, resolve } = Promise.withResolvers<tls.TLSSocket | undefined>();
  const maxVersion = `TLSv1.${(client.version ?? '1.3').slice(2)}`.replace('TLSv1.0', 'TLSv1') as tls.SecureVersion;
  const socket = tls.connect(
    {
      socket: raw,
      servername: client.serverName,
      rejectUnauthorized: false,
      maxVersion,
      minVersion: maxVersion === 'TLSv1.3' ? 'TLSv1.2' : maxVersion,
      ...(client.alpn.length > 0 && { ALPNProtocols: [...client.alpn] }),
      ...(client.certificate === true && { cert: keys.chain, key: keys.key }),
      ...(maxVersion < 'TLSv1.2' && { ciphers: 'DEFAULT@SECLEVEL=0' }),
    },
    () => resolve(socket),
  );
  socket.on('error', () => resolve(undefined)).on('close', () => resolve(undefined));
  return promise;
}

function sayBytes(socket: Socket, text: string): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  let body = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk: string) => {
    body += chunk;
  });
  socket.on('error', () => {}).on('close', () => resolve({ headers: {}, body }));
  socket.write(text);
  return promise;
}

function plainHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : String(value)]),
  );
}

function sendHttp1(socket: Socket, { method, path, headers, authority }: HttpRequest): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const options = { createConnection: () => socket, method, path, headers: { ...headers, host: authority } };
  const request = http.request(options, (response) => collect(response, resolve));
  request.on('upgrade', ({ statusCode, headers }, upgraded) => {
    upgraded.destroy();
    resolve({ ...(statusCode !== undefined && { status: statusCode }), headers: plainHeaders(headers), body: '' });
  });
  request.on('error', () => resolve(NOTHING)).on('close', () => resolve(NOTHING));
  request.end();
  return promise;
}

function collect(response: IncomingMessage, resolve: (answer: Answer) => void): void {
  let body = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    body += chunk;
  });
  response.on('end', () =>
    resolve({ status: response.statusCode ?? 0, headers: plainHeaders(response.headers), body }),
  );
  response.on('error', () => resolve(NOTHING));
}

async function sendHttp2(socket: Socket, request: HttpRequest): Promise<Answer> {
  const { scheme, authority, method, path, headers } = request;
  const session = http2.connect('http://localhost', { createConnection: () => socket });
  session.on('error', () => {});
  const { promise, resolve } = Promise.withResolvers<Answer>();
  session.on('close', () => resolve(NOTHING));
  const pseudo = { ':method': method, ':scheme': scheme, ':authority': authority, ':path': path };
  const stream = session.request({ ...pseudo, ...headers }, { endStream: true });
  let answer: Answer = NOTHING;
  let body = '';
  stream.setEncoding('utf8');
  stream.on('response', ({ ':status': status, ...rest }) => {
    answer = { ...(status !== undefined && { status }), headers: plainHeaders(rest as IncomingHttpHeaders), body: '' };
  });
  stream.on('data', (chunk: string) => {
    body += chunk;
  });
  stream.on('end', () => resolve({ ...answer, body })).on('error', () => resolve(answer));
  const result = await promise;
  session.destroy();
  return result;
}

/** Node's own client speaks nothing before 1.1. */
async function sendOldest(socket: Socket, { method, path, headers, authority }: HttpRequest): Promise<Answer> {
  const lines = Object.entries({ host: authority, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  const { body } = await sayBytes(socket, `${method} ${path} HTTP/1.0\r\n${lines.join('')}\r\n`);
  const [, status] = /^HTTP\/1\.\d (\d+)/.exec(body) ?? [];
  return status === undefined ? NOTHING : { status: Number(status), headers: {}, body: '' };
}
