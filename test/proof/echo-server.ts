// SPDX-License-Identifier: Apache-2.0
// One server that stands for every destination there is: it listens on all of 127.0.0.0/8, so that the address that a
// connection came to says whom it was for. It takes plaintext and TLS, HTTP/1, HTTP/2 and bytes, whatever begins, and
// remembers what arrived.
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import http2, { type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import net, { type AddressInfo, Socket } from 'node:net';
import { Duplex } from 'node:stream';
import tls, { TLSSocket } from 'node:tls';
import type { WorkloadKeys } from '../scenarios/static-bootstrap.ts';

export interface Arrival {
  /** 127.x.y.z */
  readonly address: string;
  /** Absent: bytes. */
  readonly request?: ArrivedRequest;
  /** What was said, where it was no HTTP. */
  readonly bytes?: string;
  /** From the outside in: the proxy's own, and what the application opened within. */
  readonly tls: readonly ArrivedTls[];
  /** Target of the CONNECT that came first. */
  readonly tunnel?: string;
}

export interface ArrivedTls {
  readonly serverName: string;
  /** What was agreed on; '': nothing. */
  readonly alpn: string;
  /** `URI:spiffe://...`; '': no certificate. */
  readonly peer: string;
}

export interface ArrivedRequest {
  readonly protocol: 'http/1.1' | 'h2';
  readonly method: string;
  readonly authority: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
}

/** Names the pair that a request is of; whoever has none is told apart by its first bytes. */
export const PAIR_HEADER = 'x-echo-pair';
/** What a request asks the server for: a status, `hang`, `reset`. */
export const ASK_HEADER = 'x-echo-ask';
/** In answers: which of the pair's arrivals this one was. */
export const ARRIVAL_HEADER = 'x-echo-arrival';

/** Of every answer. */
export const ANSWER_HEADERS = {
  'x-old': 'of the server',
  'x-more': '0',
  'x-by': 'server',
  'x-debug': 'on',
  server: 'echo',
} as const;

type Connection = Socket | TLSSocket;

const PROXY_V2 = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1');

export class EchoServer {
  readonly #arrivals = new Map<string, Arrival[]>();
  /** By both ends of the connection, which TLS and HTTP/2 within have as well: one port may dial several addresses. */
  readonly #tunnels = new Map<string, string>();
  readonly #layers = new Map<string, readonly ArrivedTls[]>();
  readonly #open = new Set<Socket>();
  readonly #http1 = http.createServer();
  readonly #http2 = http2.createServer({ settings: { enableConnectProtocol: true } });
  readonly #tls: tls.Server;
  readonly #context: tls.SecureContext;
  readonly #server = net.createServer((socket) => this.#accept(socket));

  private constructor(keys: WorkloadKeys) {
    const answer = (req: IncomingMessage | Http2ServerRequest, res: ServerResponse | Http2ServerResponse) =>
      this.#answer(req, res as ServerResponse);
    this.#http1.on('request', answer).on('upgrade', (req, socket) => this.#upgrade(req, socket as Socket));
    this.#http1.on('connect', (req, socket) => this.#connect(req, socket as Socket));
    this.#http2.on('connect', (req: Http2ServerRequest, res: Http2ServerResponse) => {
      if (req.headers[':protocol'] === undefined) this.#tunnel(req, res);
      else this.#upgradeStream(req, res);
    });
    this.#http2.on('request', answer).on('sessionError', () => {});
    this.#http1.on('clientError', (_, socket) => socket.destroy());
    // Clients of the oldest versions have somebody to speak with.
    const oldest = { minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    this.#context = tls.createSecureContext({ cert: keys.chain, key: keys.key, ...oldest });
    this.#tls = tls.createServer({
      cert: keys.chain,
      key: keys.key,
      ...oldest,
      requestCert: true,
      rejectUnauthorized: false,
      ALPNCallback: ({ protocols }) => protocols.find((p) => p === 'h2' || p === 'http/1.1') ?? protocols[0],
    });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket)).on('tlsClientError', () => {});
  }

  static async start(keys: WorkloadKeys): Promise<EchoServer> {
    const echo = new EchoServer(keys);
    echo.#server.listen(0, '0.0.0.0');
    await once(echo.#server, 'listening');
    return echo;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Of one pair, in their order. */
  arrivals(pair: string): readonly Arrival[] {
    return this.#arrivals.get(pair) ?? [];
  }

  forget(): void {
    this.#arrivals.clear();
  }

  stop(): void {
    for (const socket of this.#open) socket.destroy();
    for (const server of [this.#server, this.#http1, this.#http2, this.#tls]) server.close();
  }

  #accept(socket: Socket): void {
    this.#open.add(socket);
    // Ports come again.
    this.#layers.delete(endsOf(socket));
    this.#tunnels.delete(endsOf(socket));
    socket.on('close', () => this.#open.delete(socket)).on('error', () => {});
    this.#sniff(socket);
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', () => {});
    this.#know(socket, endsOf(socket));
    this.#sniff(socket);
  }

  /** Hands the connection to whoever speaks what it begins with. `below`: what it goes by, where it is a stream of another. */
  #sniff(socket: Duplex, below: Connection = socket as Connection): void {
    let begun = Buffer.alloc(0);
    const look = () => {
      const chunk = socket.read() as Buffer | null;
      if (chunk === null) return;
      begun = Buffer.concat([begun, chunk]);
      const rest = withoutProxyHeader(begun);
      if (rest === undefined || rest.length === 0) return;
      socket.off('readable', look);
      const text = rest.toString('latin1');
      if (rest[0] === 0x16 && !(socket instanceof Socket && !(socket instanceof TLSSocket)))
        this.#openInner(socket, rest, below);
      else if (rest[0] === 0x16) this.#hand(socket, rest, this.#tls);
      else if (text.startsWith('PRI * HTTP/2.0')) this.#hand(socket, rest, this.#http2);
      else if (/^[A-Z]+ /.test(text)) this.#hand(socket, rest, this.#http1);
      else this.#bytes(socket, text, below);
    };
    socket.on('readable', look);
  }

  #hand(socket: Duplex, begun: Buffer, server: { emit(event: 'connection', socket: Duplex): boolean }): void {
    socket.unshift(begun);
    server.emit('connection', socket);
  }

  /** An application's own TLS within the proxy's: Node would not see what has been read of it already. */
  #openInner(outer: Duplex, begun: Buffer, below: Connection): void {
    outer.unshift(begun);
    const stream = new Duplex({
      read: () => outer.resume(),
      write: (chunk: Buffer, _, done) => outer.write(chunk, done),
      final: (done) => outer.end(done),
    });
    outer.on('data', (chunk: Buffer) => stream.push(chunk)).on('end', () => stream.push(null));
    const inner = new TLSSocket(stream, { isServer: true, secureContext: this.#context });
    inner.on('error', () => {}).on('secure', () => this.#know(inner, endsOf(below)));
    inner.once('data', (chunk: Buffer) => this.#bytes(inner, chunk.toString(), below));
  }

  #know(socket: TLSSocket, ends: string): void {
    const { subjectaltname = '' } = socket.getPeerCertificate();
    const layer = { serverName: socket.servername || '', alpn: socket.alpnProtocol || '', peer: subjectaltname };
    this.#layers.set(ends, [...(this.#layers.get(ends) ?? []), layer]);
  }

  #bytes(socket: Duplex, text: string, below: Connection): void {
    const bytes = text.trim();
    const number = this.#remember(bytes, { ...this.#connectionOf(below), bytes });
    socket.end(`arrival ${number}\n`);
  }

  #connectionOf(below: Connection): Pick<Arrival, 'address' | 'tls' | 'tunnel'> {
    const tunnel = this.#tunnels.get(endsOf(below));
    return {
      address: below.localAddress ?? '',
      tls: this.#layers.get(endsOf(below)) ?? [],
      ...(tunnel !== undefined && { tunnel }),
    };
  }

  #remember(pair: string, arrival: Arrival): number {
    const known = this.#arrivals.get(pair) ?? [];
    this.#arrivals.set(pair, known);
    return known.push(arrival) - 1;
  }

  #arrived(req: IncomingMessage | Http2ServerRequest): number {
    const headers = Object.fromEntries(
      Object.entries(req.headers).flatMap(([name, value]) =>
        name.startsWith(':') || value === undefined ? [] : [[name, Array.isArray(value) ? value.join(',') : value]],
      ),
    );
    const h2 = req.httpVersionMajor === 2;
    const authority = String((h2 ? req.headers[':authority'] : undefined) ?? req.headers.host ?? '');
    delete headers['host'];
    const request: ArrivedRequest = {
      protocol: h2 ? 'h2' : 'http/1.1',
      method: req.method ?? '',
      authority,
      path: req.url ?? '',
      headers,
    };
    return this.#remember(headers[PAIR_HEADER] ?? '', { ...this.#connectionOf(socketOf(req)), request });
  }

  #answer(req: IncomingMessage | Http2ServerRequest, res: ServerResponse): void {
    const number = this.#arrived(req);
    const ask = req.headers[ASK_HEADER] ?? '200';
    req.resume();
    if (ask === 'hang') return;
    if (ask === 'reset') {
      if ('stream' in req) req.stream.close(2);
      else req.socket.destroy();
      return;
    }
    for (const [name, value] of Object.entries(ANSWER_HEADERS)) res.setHeader(name, value);
    res.setHeader(ARRIVAL_HEADER, number);
    res.statusCode = Number(ask);
    res.end();
  }

  #upgrade(req: IncomingMessage, socket: Socket): void {
    const headers = {
      ...ANSWER_HEADERS,
      [ARRIVAL_HEADER]: this.#arrived(req),
      connection: 'upgrade',
      upgrade: req.headers.upgrade,
    };
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.end(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('')}\r\n`);
  }

  /** What an upgrade is in HTTP/2 (RFC 8441): a CONNECT with a protocol. */
  #upgradeStream(req: Http2ServerRequest, res: Http2ServerResponse): void {
    res.writeHead(200, { ...ANSWER_HEADERS, [ARRIVAL_HEADER]: this.#arrived(req) });
    res.end();
  }

  #tunnel(req: Http2ServerRequest, res: Http2ServerResponse): void {
    res.writeHead(200);
    this.#tunnels.set(endsOf(req.socket), req.authority);
    this.#sniff(res.stream, req.socket);
  }

  #connect(req: IncomingMessage, socket: Socket): void {
    socket.write('HTTP/1.1 200 OK\r\n\r\n');
    this.#tunnels.set(endsOf(socket), req.url ?? '');
    this.#sniff(socket);
  }
}

function endsOf({ localAddress, remotePort }: Pick<Connection, 'localAddress' | 'remotePort'>): string {
  return `${localAddress} ${remotePort}`;
}

function socketOf(req: IncomingMessage | Http2ServerRequest): Connection {
  return 'stream' in req ? req.stream.session!.socket : req.socket;
}

/** Undefined: more is to come. */
function withoutProxyHeader(begun: Buffer): Buffer | undefined {
  if (begun.subarray(0, PROXY_V2.length).equals(PROXY_V2)) {
    const end = begun.length < 16 ? Number.POSITIVE_INFINITY : 16 + begun.readUInt16BE(14);
    return begun.length < end ? undefined : begun.subarray(end);
  }
  if (!begun.toString('latin1', 0, 6).startsWith('PROXY ')) return begun;
  const end = begun.indexOf('\r\n');
  return end === -1 ? undefined : begun.subarray(end + 2);
}
