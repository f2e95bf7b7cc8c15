// SPDX-License-Identifier: Apache-2.0
// One transfer of the sandbox's curl, over node:http and node:https, with curl's exit codes.
import { lookup } from 'node:dns';
import { createWriteStream, readFileSync } from 'node:fs';
import { type ClientRequest, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { finished } from 'node:stream/promises';
import type { CurlOptions } from './options.ts';

/** An error with curl's exit code (curl(1), EXIT CODES). */
export class CurlError extends Error {
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

interface Timings {
  readonly startedAt: number;
  connectedAt: number;
  firstByteAt: number;
}

const USER_AGENT = 'curl/8.5.0';
const MAX_REDIRECTS = 50;

/** Fetches one URL and writes what curl would write. */
export async function transfer(rawUrl: string, options: CurlOptions): Promise<void> {
  let url = parseUrl(rawUrl);
  const timings: Timings = { startedAt: performance.now(), connectedAt: 0, firstByteAt: 0 };
  const limit = options.maxTimeMs > 0 ? AbortSignal.timeout(options.maxTimeMs) : undefined;
  let redirects = 0;
  let size = 0;
  let response: IncomingMessage | undefined;
  try {
    response = await exchange(url, options, timings, limit);
    while (options.follow && isRedirect(response)) {
      if (++redirects > MAX_REDIRECTS) throw new CurlError(47, `Maximum (${MAX_REDIRECTS}) redirects followed`);
      response.resume();
      url = new URL(response.headers.location!, url);
      response = await exchange(url, options, timings, limit);
    }
    const status = response.statusCode ?? 0;
    if (options.fail && status >= 400) {
      response.resume();
      throw new CurlError(22, `The requested URL returned error: ${status}`);
    }
    size = await writeBody(response, options, limit);
  } finally {
    // Also of a transfer that failed, as curl does: 000 stands for no answer.
    writeOut(options, response, url, timings, size, redirects);
  }
}

function isRedirect({ statusCode = 0, headers }: IncomingMessage): boolean {
  return [301, 302, 303, 307, 308].includes(statusCode) && headers.location !== undefined;
}

function parseUrl(raw: string): URL {
  const url = /^[a-z][a-z0-9+.-]*:\/\//i.test(raw) ? raw : `http://${raw}`;
  if (!URL.canParse(url)) throw new CurlError(3, 'URL using bad/illegal format or missing URL');
  const parsed = new URL(url);
  if (parsed.protocol !== 'http:' && parsed.protocol !== 'https:') {
    throw new CurlError(1, `Protocol "${parsed.protocol.slice(0, -1)}" not supported`);
  }
  return parsed;
}

function exchange(
  url: URL,
  options: CurlOptions,
  timings: Timings,
  limit: AbortSignal | undefined,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const method = options.method ?? (options.head ? 'HEAD' : options.data !== undefined ? 'POST' : 'GET');
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const request = send(url, {
    method,
    headers: requestHeaders(url, options),
    agent: proxyAgent(url),
    // Header names keep the case that the user typed, as curl's do.
    setDefaultHeaders: false,
    rejectUnauthorized: !options.insecure,
    ...credentials(options),
    lookup: (host, opts, done) =>
      lookup(options.resolve.get(`${host}:${portOf(url)}`) ?? host, { ...opts, family: 4 }, done),
    ...(limit ? { signal: limit } : {}),
  });
  request.on('socket', (socket) => watchSocket(socket, request, url, options, timings));
  request.on('response', (response) => {
    timings.firstByteAt = performance.now();
    if (options.verbose) printHeaders(response, '< ', process.stderr);
    resolve(response);
  });
  request.on('error', (error) => reject(toCurlError(error, url, timings)));
  request.end(options.data);
  return promise;
}

/** The proxy that https_proxy or HTTPS_PROXY names is asked for a way by CONNECT. */
function proxyAgent({ protocol }: URL): Agent | false {
  const proxy = process.env['https_proxy'] ?? process.env['HTTPS_PROXY'] ?? '';
  if (protocol !== 'https:' || proxy === '') return false;
  return new Agent({ proxyEnv: { HTTPS_PROXY: proxy.includes('://') ? proxy : `http://${proxy}` } });
}

function portOf({ port, protocol }: URL): string {
  return port || (protocol === 'https:' ? '443' : '80');
}

/** A file of --cert may hold the key, too. */
function credentials({ cacert, cert, key = cert }: CurlOptions): { ca?: Buffer; cert?: Buffer; key?: Buffer } {
  return {
    ...(cacert !== undefined && { ca: read(cacert, 77, 'error setting certificate file') }),
    ...(cert !== undefined && { cert: read(cert, 58, 'could not load PEM client certificate from') }),
    ...(key !== undefined && { key: read(key, 58, 'unable to set private key file') }),
  };
}

function read(path: string, exitCode: number, problem: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    throw new CurlError(exitCode, `${problem}: ${path}`);
  }
}

function requestHeaders(url: URL, options: CurlOptions): Record<string, string> {
  const headers: Record<string, string> = { Host: url.host, 'User-Agent': USER_AGENT, Accept: '*/*' };
  if (options.user !== undefined) headers['Authorization'] = `Basic ${Buffer.from(options.user).toString('base64')}`;
  if (options.data !== undefined) {
    headers['Content-Length'] = String(Buffer.byteLength(options.data));
    headers['Content-Type'] = 'application/x-www-form-urlencoded';
  }
  for (const [name, value] of options.headers) {
    for (const known of Object.keys(headers)) if (known.toLowerCase() === name.toLowerCase()) delete headers[known];
    if (value !== '') headers[name] = value; // `-H 'Accept:'` takes a header away
  }
  return headers;
}

function watchSocket(socket: Socket, request: ClientRequest, url: URL, options: CurlOptions, timings: Timings): void {
  if (options.connectTimeoutMs > 0) {
    const timer = setTimeout(
      () => request.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })),
      options.connectTimeoutMs,
    );
    socket.once('connect', () => clearTimeout(timer));
    socket.once('close', () => clearTimeout(timer));
  }
  socket.once('connect', () => {
    timings.connectedAt = performance.now();
    if (!options.verbose) return;
    process.stderr.write(`*   Trying ${socket.remoteAddress}:${socket.remotePort}...\n`);
    process.stderr.write(`* Connected to ${url.hostname} (${socket.remoteAddress}) port ${socket.remotePort}\n`);
    process.stderr.write(`> ${request.method} ${request.path} HTTP/1.1\n`);
    for (const name of request.getRawHeaderNames()) process.stderr.write(`> ${name}: ${request.getHeader(name)}\n`);
    process.stderr.write('> \n');
  });
}

function toCurlError(error: NodeJS.ErrnoException, url: URL, timings: Timings): CurlError {
  const port = portOf(url);
  const elapsedMs = Math.round(performance.now() - timings.startedAt);
  switch (error.code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CurlError(6, `Could not resolve host: ${url.hostname}`);
    case 'ECONNREFUSED':
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new CurlError(
        7,
        `Failed to connect to ${url.hostname} port ${port} after ${elapsedMs} ms: Couldn't connect to server`,
      );
    case 'ETIMEDOUT':
    case 'ABORT_ERR':
      return new CurlError(28, `Operation timed out after ${elapsedMs} milliseconds`);
    case 'ECONNRESET':
      if (error.message.includes('before secure TLS connection')) {
        return new CurlError(35, `SSL_connect: SSL_ERROR_SYSCALL in connection to ${url.hostname}:${port}`);
      }
      return timings.connectedAt > 0 && error.message.includes('socket hang up')
        ? new CurlError(52, 'Empty reply from server')
        : new CurlError(56, 'Recv failure: Connection reset by peer');
    default:
      return /certificate|self.signed|TLS|SSL/i.test(`${error.code} ${error.message}`)
        ? new CurlError(60, `SSL problem: ${error.message}`)
        : new CurlError(56, error.message);
  }
}

async function writeBody(
  response: IncomingMessage,
  options: CurlOptions,
  limit: AbortSignal | undefined,
): Promise<number> {
  const sink = options.output === undefined ? process.stdout : createWriteStream(options.output);
  if (options.head || options.include) printHeaders(response, '', sink);
  let size = 0;
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (!sink.write(chunk)) await new Promise<void>((resolve) => sink.once('drain', resolve));
    }
  } catch (error) {
    if (limit?.aborted) throw new CurlError(28, `Operation timed out with ${size} bytes received`);
    throw new CurlError(
      18,
      `transfer closed with outstanding read data remaining (${error instanceof Error ? error.message : error})`,
    );
  }
  if (sink !== process.stdout) {
    sink.end();
    await finished(sink);
  }
  return size;
}

function printHeaders(response: IncomingMessage, prefix: string, sink: NodeJS.WritableStream): void {
  const eol = prefix === '' ? '\r\n' : '\n';
  let text = `${prefix}HTTP/${response.httpVersion} ${response.statusCode} ${response.statusMessage}${eol}`;
  for (let i = 0; i + 1 < response.rawHeaders.length; i += 2)
    text += `${prefix}${response.rawHeaders[i]}: ${response.rawHeaders[i + 1]}${eol}`;
  sink.write(`${text}${prefix}${eol}`);
}

function writeOut(
  options: CurlOptions,
  response: IncomingMessage | undefined,
  url: URL,
  timings: Timings,
  size: number,
  redirects: number,
): void {
  if (options.writeOut === undefined) return;
  const seconds = (at: number): string => (Math.max(0, at - timings.startedAt) / 1000).toFixed(6);
  const variables: Record<string, string> = {
    http_code: String(response?.statusCode ?? 0).padStart(3, '0'),
    response_code: String(response?.statusCode ?? 0).padStart(3, '0'),
    content_type: response?.headers['content-type'] ?? '',
    size_download: String(size),
    time_connect: seconds(timings.connectedAt),
    time_starttransfer: seconds(timings.firstByteAt),
    time_total: seconds(performance.now()),
    remote_ip: response?.socket?.remoteAddress ?? '',
    remote_port: String(response?.socket?.remotePort ?? ''),
    num_redirects: String(redirects),
    url_effective: url.href,
    method: response?.method ?? '',
  };
  const text = options.writeOut
    .replace(/%\{([a-z_]+)\}/g, (_, name: string) => variables[name] ?? '')
    .replace(/\\n/g, '\n')
    .replace(/\\r/g, '\r')
    .replace(/\\t/g, '\t')
    .replace(/%%/g, '%');
  process.stdout.write(text);
}
