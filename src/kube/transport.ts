// SPDX-License-Identifier: Apache-2.0
// HTTP/1.1 to one API server: keep-alive, TLS, an optional CONNECT proxy. Knows nothing of Kubernetes objects.
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import tls from 'node:tls';
import type { WebSocket } from 'ws';
import type { ClientConfig } from './config.ts';

export interface RequestOptions {
  body?: unknown;
  contentType?: string;
  accept?: string;
  signal?: AbortSignal | undefined;
  /** The longest silence on the connection before it counts as dead. */
  idleTimeoutMs?: number;
  /** The answer lasts (a watch, a log): its connection does not count against the limit of those for short requests. */
  isLasting?: boolean;
}

const DEFAULT_IDLE_TIMEOUT_MS = 60_000;
/** A burst of requests queues for connections rather than opening hundreds: each costs a TLS handshake on both sides. */
const MAX_SHORT_CONNECTIONS = 32;
const CONNECT_TIMEOUT_MS = 10_000;
/** Shorter than the idle timeout of usual servers and load balancers, so that a request seldom meets a closing socket. */
const FREE_SOCKET_TIMEOUT_MS = 20_000;

export class Transport {
  readonly #config: ClientConfig;
  readonly #server: URL;
  readonly #shortAgent: http.Agent;
  readonly #lastingAgent: http.Agent;

  constructor(config: ClientConfig) {
    this.#config = config;
    this.#server = new URL(config.server);
    this.#shortAgent = createAgent(config, this.#server, MAX_SHORT_CONNECTIONS);
    this.#lastingAgent = createAgent(config, this.#server, Number.POSITIVE_INFINITY);
  }

  get server(): string {
    return this.#config.server;
  }

  /** Sends one request; resolves with the response as soon as its head is there, whatever its status is. */
  async open(method: string, path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
    try {
      return await this.#attempt(method, path, options);
    } catch (error) {
      // The server closed a kept connection while we wrote to it. Only reading is repeated: a write may have happened.
      if (error instanceof StaleSocketError && method === 'GET') return await this.#attempt(method, path, options);
      throw error;
    }
  }

  /** A WebSocket to the same server, by the same way and with the same credentials. It may fail before it opens. */
  async openWebSocket(path: string, protocols: readonly string[]): Promise<WebSocket> {
    const { WebSocket } = await import('ws');
    const url = new URL(this.#server.pathname.replace(/\/$/, '') + path, this.#server);
    url.protocol = this.#server.protocol === 'http:' ? 'ws:' : 'wss:';
    const token = this.#config.token?.();
    return new WebSocket(url, [...protocols], {
      agent: this.#lastingAgent,
      headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
      handshakeTimeout: CONNECT_TIMEOUT_MS,
      perMessageDeflate: false,
    });
  }

  close(): void {
    this.#shortAgent.destroy();
    this.#lastingAgent.destroy();
  }

  #attempt(method: string, path: string, options: RequestOptions): Promise<IncomingMessage> {
    const headers: Record<string, string | number> = { accept: options.accept ?? 'application/json' };
    if (this.#config.userAgent) headers['user-agent'] = this.#config.userAgent;
    if (this.#config.token) headers['authorization'] = `Bearer ${this.#config.token()}`;
    let body: Buffer | undefined;
    if (options.body !== undefined) {
      body = Buffer.from(typeof options.body === 'string' ? options.body : JSON.stringify(options.body));
      headers['content-type'] = options.contentType ?? 'application/json';
      headers['content-length'] = body.length;
    }
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const idleTimeoutMs = options.idleTimeoutMs ?? this.#config.idleTimeoutMs ?? DEFAULT_IDLE_TIMEOUT_MS;
    // What is asked for, and not how: the query of a watch is another each time.
    const asked = `${method} ${this.server}${path.replace(/\?.*$/, '')}`;
    const request = (this.#server.protocol === 'http:' ? http : https).request({
      protocol: this.#server.protocol,
      hostname: this.#server.hostname.replace(/^\[|\]$/g, ''),
      port: this.#server.port || (this.#server.protocol === 'http:' ? 80 : 443),
      path: this.#server.pathname.replace(/\/$/, '') + path,
      method,
      headers,
      agent: options.isLasting ? this.#lastingAgent : this.#shortAgent,
      timeout: idleTimeoutMs,
      ...(options.signal ? { signal: options.signal } : {}),
    });
    let answer: IncomingMessage | undefined;
    request.on('timeout', () => {
      // Without this the reader of a body that had begun would hear "aborted", and nothing of where or why.
      answer?.destroy(new Error(`${asked}: nothing came for ${idleTimeoutMs / 1000} s`));
      request.destroy(new Error(`no answer for ${idleTimeoutMs / 1000} s`));
    });
    request.on('socket', (socket) => socket.setKeepAlive(true, 15_000));
    request.on('response', (response) => {
      answer = response;
      resolve(response);
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (options.signal?.aborted) reject(options.signal.reason);
      else if (request.reusedSocket && error.code === 'ECONNRESET') reject(new StaleSocketError(error));
      else reject(new Error(`${asked}: ${describe(error)}`, { cause: error }));
    });
    request.end(body);
    return promise;
  }
}

function createAgent(config: ClientConfig, server: URL, maxSockets: number): http.Agent {
  const options = { keepAlive: true, scheduling: 'lifo', timeout: FREE_SOCKET_TIMEOUT_MS, maxSockets } as const;
  const agent =
    server.protocol === 'http:' ? new http.Agent(options) : new https.Agent({ ...options, ...tlsOptions(config) });
  if (config.proxyUrl !== undefined) tunnelThrough(agent, new URL(config.proxyUrl), server, config);
  return agent;
}

class StaleSocketError extends Error {
  constructor(cause: Error) {
    super(`the API server closed the connection: ${cause.message}`, { cause });
  }
}

function describe(error: NodeJS.ErrnoException): string {
  if (error instanceof AggregateError) return error.errors.map((each: Error) => each.message).join('; ');
  return error.message || (error.code ?? 'the connection failed');
}

function tlsOptions(config: ClientConfig): tls.SecureContextOptions & tls.ConnectionOptions {
  return {
    ...(config.caPem !== undefined ? { ca: config.caPem } : {}),
    ...(config.clientCertPem !== undefined ? { cert: config.clientCertPem } : {}),
    ...(config.clientKeyPem !== undefined ? { key: config.clientKeyPem } : {}),
    ...(config.tlsServerName !== undefined ? { servername: config.tlsServerName } : {}),
    rejectUnauthorized: config.insecureSkipTlsVerify !== true,
  };
}

/** Makes the agent's new connections go through `CONNECT HOST:PORT` of an HTTP proxy. */
function tunnelThrough(agent: http.Agent, proxy: URL, server: URL, config: ClientConfig): void {
  const target = `${server.hostname}:${server.port || (server.protocol === 'http:' ? 80 : 443)}`;
  type Done = (error: Error | null, socket: Duplex) => void;
  // createConnection may answer by its callback; @types/node has the parameter but not the late answer.
  Object.assign(agent, {
    createConnection(options: tls.ConnectionOptions, done: Done): undefined {
      const fail = (error: Error) => done(error, undefined as unknown as Duplex);
      const connect = http.request({
        hostname: proxy.hostname.replace(/^\[|\]$/g, ''),
        port: proxy.port || 80,
        method: 'CONNECT',
        path: target,
        headers: { host: target, ...proxyAuthorization(proxy) },
        agent: false,
        timeout: CONNECT_TIMEOUT_MS,
      });
      connect.on('timeout', () => connect.destroy(new Error(`the proxy ${proxy.host} did not answer`)));
      connect.on('error', (cause) => fail(new Error(`proxy ${proxy.host}: ${describe(cause)}`, { cause })));
      connect.on('connect', (response, socket: Socket) => {
        socket.setTimeout(0);
        if (response.statusCode !== 200) {
          socket.destroy();
          fail(new Error(`the proxy ${proxy.host} refused CONNECT ${target}: ${response.statusCode}`));
        } else if (server.protocol === 'http:') {
          done(null, socket);
        } else {
          done(null, tls.connect({ ...options, ...tlsOptions(config), socket }));
        }
      });
      connect.end();
      return undefined;
    },
  });
}

function proxyAuthorization(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {};
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}
