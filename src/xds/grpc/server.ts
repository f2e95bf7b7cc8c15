// SPDX-License-Identifier: Apache-2.0
// A gRPC server on node:http2: just what long-lived discovery streams need.
import {
  createSecureServer,
  createServer,
  type Http2SecureServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { type CallLimits, type CallPeer, GrpcCall } from './call.ts';
import { decodeTimeoutMs, GrpcError } from './status.ts';

export interface TlsIdentity {
  readonly certPem: string;
  readonly keyPem: string;
  /** Given: peers are asked for a certificate below these roots, and may have none (GrpcCall.peer says what came of it). */
  readonly clientRootsPem?: string;
}

export interface GrpcLimits extends CallLimits {
  readonly maxConnections: number;
  /**
   * From one address: a pod's Envoy needs two, and must not take the place of others. But an address may stand for many
   * pods, where a gateway, a load balancer or a service proxy in user space is between.
   */
  readonly maxConnectionsPerAddress: number;
  readonly maxStreamsPerConnection: number;
  /** Of messages that are still coming, of all calls together; beyond, the connection that holds most of it is cut. */
  readonly maxUnfinishedBytes: number;
  /** A connection without any call is closed after this. */
  readonly idleConnectionMs: number;
  readonly keepaliveIntervalMs: number;
  /** A ping that stays unanswered for so long ends the connection. */
  readonly keepaliveTimeoutMs: number;
  /** From the order to stop until connections are cut. */
  readonly shutdownGraceMs: number;
}

export const DEFAULT_LIMITS: GrpcLimits = {
  maxConnections: 10_000,
  maxConnectionsPerAddress: 4_000,
  maxStreamsPerConnection: 512,
  maxMessageBytes: 16 * 1024 * 1024,
  maxUnfinishedBytes: 256 * 1024 * 1024,
  flushOnEndMs: 5000,
  idleConnectionMs: 60_000,
  keepaliveIntervalMs: 30_000,
  keepaliveTimeoutMs: 20_000,
  shutdownGraceMs: 2000,
};

const STREAM_WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;
const TLS_HANDSHAKE_MS = 10_000;

/** Serves one call; what it throws becomes the call's status (GrpcError as it is, anything else as INTERNAL). */
export type GrpcHandler = (call: GrpcCall) => Promise<void>;

export interface GrpcServerOptions {
  /** An IP address; without `tls` only a loopback one is accepted. Port 0 takes a free one. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly tls?: TlsIdentity;
  /** By path, e.g. `/package.Service/Method`. */
  readonly handlers: ReadonlyMap<string, GrpcHandler>;
  readonly limits?: Partial<GrpcLimits>;
  /** Told of a handler's unexpected error, of failed connections, and of those that a limit refuses. No call's metadata. */
  readonly onError?: (error: Error, about: 'handler' | 'connection' | 'limit') => void;
  /** A TLS handshake that did not come about; the error's code names the alert, or is CLOSED when the peer sent none. */
  readonly onHandshakeError?: (error: Error, address: string) => void;
}

export interface GrpcServer {
  readonly port: number;
  readonly connectionCount: number;
  /** New connections get this certificate; those that stand keep theirs. */
  setTls(tls: TlsIdentity): void;
  /** GOAWAY, UNAVAILABLE to every call, then closes. */
  close(): Promise<void>;
}

/** Whether `host` is a literal loopback address (a name could resolve to anything). */
export function isLoopback(host: string): boolean {
  return host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);
}

/**
 * Listens and serves until `signal` aborts. Rejects when the address is taken, or when it is not loopback and there is no
 * TLS.
 */
export async function startGrpcServer(options: GrpcServerOptions, signal: AbortSignal): Promise<GrpcServer> {
  const { host, port } = options.listen;
  if (options.tls === undefined && !isLoopback(host)) {
    throw new Error(
      `Plaintext xDS is served on loopback only, not on ${host}: give a certificate, or listen on 127.0.0.1.`,
    );
  }
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const server = createHttp2Server(options.tls, limits);
  const connections = new Connections(limits, options);
  server.on('connection', (socket: Socket) => connections.hold(socket));
  server.on('session', (session) => connections.add(session));
  server.on('sessionError', (error: Error) => options.onError?.(error, 'connection'));
  server.on('tlsClientError', (error: Error, socket: TLSSocket) => {
    options.onError?.(error, 'connection');
    connections.handshakeFailed(socket, error);
  });
  if (options.tls !== undefined) {
    server.on('connection', (socket: Socket) => connections.awaitHandshake(socket));
    server.on('secureConnection', (socket: TLSSocket) => connections.handshakeDone(socket));
  }
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => connections.serve(stream, headers));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, resolve);
  });
  server.on('error', (error) => options.onError?.(error, 'connection'));
  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= connections.close(server);
    return closing;
  };
  if (signal.aborted) await close();
  else signal.addEventListener('abort', () => void close(), { once: true });
  return {
    port: (server.address() as AddressInfo | null)?.port ?? port,
    get connectionCount() {
      return connections.count;
    },
    setTls(tls) {
      if (!('setSecureContext' in server)) throw new Error('This server is plaintext.');
      server.setSecureContext(tlsContext(tls));
    },
    close,
  };
}

function tlsContext(tls: TlsIdentity) {
  return {
    cert: tls.certPem,
    key: tls.keyPem,
    minVersion: 'TLSv1.3' as const,
    ...(tls.clientRootsPem === undefined ? {} : { ca: tls.clientRootsPem }),
  };
}

function createHttp2Server(tls: TlsIdentity | undefined, limits: GrpcLimits): Http2Server | Http2SecureServer {
  const options = {
    settings: {
      maxConcurrentStreams: limits.maxStreamsPerConnection,
      initialWindowSize: STREAM_WINDOW_BYTES,
      maxHeaderListSize: 32 * 1024,
      enablePush: false,
    },
    maxSessionMemory: 64,
    unknownProtocolTimeout: TLS_HANDSHAKE_MS,
  };
  if (tls === undefined) return createServer(options);
  return createSecureServer({
    ...options,
    ...tlsContext(tls),
    ALPNProtocols: ['h2'],
    allowHTTP1: false,
    // A certificate that does not hold ends the calls, with a reason that the peer can log, and not the handshake.
    requestCert: tls.clientRootsPem !== undefined,
    rejectUnauthorized: false,
    handshakeTimeout: TLS_HANDSHAKE_MS,
  });
}

class Connections {
  readonly #sessions = new Map<ServerHttp2Session, Set<GrpcCall>>();
  readonly #unfinished = new Map<ServerHttp2Session, number>();
  #unfinishedBytes = 0;
  readonly #sockets = new Set<Socket>();
  readonly #perAddress = new Map<string, number>();
  /** Address and port of the peers whose TLS handshake is not done. */
  readonly #handshaking = new Set<string>();
  readonly #limits: GrpcLimits;
  readonly #options: GrpcServerOptions;
  #closing = false;

  constructor(limits: GrpcLimits, options: GrpcServerOptions) {
    this.#limits = limits;
    this.#options = options;
  }

  /** A peer may close the connection in the middle of the handshake, and say nothing: Envoy does. */
  awaitHandshake(socket: Socket): void {
    const [peer, address] = [peerOf(socket), addressOf(socket)];
    this.#handshaking.add(peer);
    socket.once('close', () => {
      if (!this.#handshaking.delete(peer) || this.#closing) return;
      const error = Object.assign(new Error('the peer closed the connection in its handshake'), { code: 'CLOSED' });
      this.#options.onHandshakeError?.(error, address);
    });
  }

  handshakeDone(socket: TLSSocket): void {
    this.#handshaking.delete(peerOf(socket));
  }

  handshakeFailed(socket: TLSSocket, error: Error): void {
    // A socket that is gone already has no address any more: its end was told by `awaitHandshake`.
    if (this.#handshaking.delete(peerOf(socket))) this.#options.onHandshakeError?.(error, addressOf(socket));
  }

  get count(): number {
    return this.#sessions.size;
  }

  hold(socket: Socket): void {
    // Asked for while it is open, it is still known when the handshake has failed.
    const address = addressOf(socket);
    const count = (this.#perAddress.get(address) ?? 0) + 1;
    if (count > this.#limits.maxConnectionsPerAddress) {
      socket.destroy();
      const reason = `${address} has ${count - 1} connections already and gets no more`;
      this.#options.onError?.(new Error(reason), 'limit');
      return;
    }
    this.#perAddress.set(address, count);
    this.#sockets.add(socket);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      const left = (this.#perAddress.get(address) ?? 1) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
  }

  add(session: ServerHttp2Session): void {
    if (this.#closing || this.#sessions.size >= this.#limits.maxConnections) {
      session.destroy();
      return;
    }
    const calls = new Set<GrpcCall>();
    this.#sessions.set(session, calls);
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on('error', () => {}); // 'close' follows
    const keepalive = setInterval(() => this.#ping(session), this.#limits.keepaliveIntervalMs);
    const idle = setInterval(() => {
      if (calls.size === 0) session.close();
    }, this.#limits.idleConnectionMs);
    session.once('close', () => {
      clearInterval(keepalive);
      clearInterval(idle);
      this.#sessions.delete(session);
    });
  }

  #ping(session: ServerHttp2Session): void {
    if (session.destroyed) return;
    const timeout = setTimeout(() => session.destroy(), this.#limits.keepaliveTimeoutMs);
    const sent = session.ping((error) => {
      clearTimeout(timeout);
      if (error !== null) session.destroy();
    });
    if (!sent) clearTimeout(timeout);
  }

  serve(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const session = stream.session as ServerHttp2Session | undefined;
    const calls = session === undefined ? undefined : this.#sessions.get(session);
    if (session === undefined || calls === undefined) {
      stream.destroy();
      return;
    }
    if (headers[':method'] !== 'POST' || !/^application\/grpc([+;]|$)/.test(headers['content-type'] ?? '')) {
      stream.on('error', () => {});
      stream.respond({ ':status': headers[':method'] === 'POST' ? 415 : 405 }, { endStream: true });
      stream.resume();
      return;
    }
    const certificate = certificateOf(session.socket);
    const peer = {
      secure: session.socket instanceof TLSSocket || session.encrypted === true,
      address: addressOf(session.socket),
      serverName: serverNameOf(session.socket),
      ...(certificate === undefined ? {} : { certificate }),
    };
    const call = new GrpcCall(stream, headers, peer, this.#limits, (delta) => this.#account(session, delta));
    calls.add(call);
    void call.closed.then(() => calls.delete(call));
    void this.#run(call, headers);
  }

  #account(session: ServerHttp2Session, deltaBytes: number): void {
    const bytes = (this.#unfinished.get(session) ?? 0) + deltaBytes;
    if (bytes === 0) this.#unfinished.delete(session);
    else this.#unfinished.set(session, bytes);
    this.#unfinishedBytes += deltaBytes;
    if (deltaBytes < 0 || this.#unfinishedBytes <= this.#limits.maxUnfinishedBytes) return;
    const [greedy, held] = [...this.#unfinished].reduce((most, next) => (next[1] > most[1] ? next : most));
    if (greedy.destroyed) return;
    const address = addressOf(greedy.socket);
    greedy.destroy();
    this.#options.onError?.(new Error(`${address} began messages of ${held} bytes, and is cut off`), 'limit');
  }

  async #run(call: GrpcCall, headers: IncomingHttpHeaders): Promise<void> {
    let deadline: NodeJS.Timeout | undefined;
    try {
      if (this.#closing) throw new GrpcError('UNAVAILABLE', 'the server is shutting down');
      const encoding = headers['grpc-encoding'];
      if (encoding !== undefined && encoding !== 'identity') {
        throw new GrpcError('UNIMPLEMENTED', 'compressed messages are not supported');
      }
      const timeout = headers['grpc-timeout'];
      if (typeof timeout === 'string') {
        const timeoutMs = Math.min(decodeTimeoutMs(timeout), 2 ** 31 - 1);
        deadline = setTimeout(() => call.end('DEADLINE_EXCEEDED', 'the deadline of the call has passed'), timeoutMs);
      }
      const handler = this.#options.handlers.get(call.path);
      if (handler === undefined) throw new GrpcError('UNIMPLEMENTED', 'no such method');
      await handler(call);
      call.end('OK');
    } catch (error) {
      if (error instanceof GrpcError) {
        call.end(error.code, error.message);
      } else {
        this.#options.onError?.(error instanceof Error ? error : new Error(String(error)), 'handler');
        call.end('INTERNAL', 'the server failed to handle the call; its log says why');
      }
    } finally {
      if (deadline !== undefined) void call.closed.then(() => clearTimeout(deadline));
    }
  }

  async close(server: Http2Server | Http2SecureServer): Promise<void> {
    this.#closing = true;
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve());
    });
    for (const [session, calls] of this.#sessions) {
      for (const call of calls) call.end('UNAVAILABLE', 'the server is shutting down; connect again');
      session.close(); // GOAWAY, then closes once the calls are gone
    }
    // Not the sessions: one that was closed only ends its half of the connection, and waits for the peer to end the other.
    const cut = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, this.#limits.shutdownGraceMs);
    await closed;
    clearTimeout(cut);
  }
}

function certificateOf(socket: Socket | TLSSocket): CallPeer['certificate'] {
  if (!(socket instanceof TLSSocket)) return undefined;
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) return undefined;
  const uris = (certificate.subjectAltName ?? '').split(', ').flatMap((name) => /^URI:(.*)$/.exec(name)?.[1] ?? []);
  const { authorized, authorizationError } = socket;
  return { uris, problem: authorized ? '' : String(authorizationError || 'it could not be verified') };
}

function serverNameOf(socket: Socket | TLSSocket): string {
  return socket instanceof TLSSocket && typeof socket.servername === 'string' ? socket.servername : '';
}

function peerOf(socket: Socket | TLSSocket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? ''}`;
}

function addressOf(socket: Socket | TLSSocket): string {
  return socket.remoteAddress ?? '';
}
