// SPDX-License-Identifier: Apache-2.0
// Small servers that take what Envoy tells: Zipkin's JSON by HTTP; Datadog's messages by HTTP and OTLP by gRPC, of which they
// keep the bytes.
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import type { AddressInfo } from 'node:net';

/** What a collector proves itself by, in PEM; without it, it speaks plaintext. */
export interface ServerKeys {
  readonly cert: string;
  readonly key: string;
}

export interface ZipkinSpan {
  readonly traceId: string;
  readonly parentId?: string;
  readonly kind: string;
  readonly localEndpoint: { readonly serviceName: string };
  readonly tags: Readonly<Record<string, string>>;
}

export class ZipkinCollector {
  readonly spans: ZipkinSpan[] = [];
  /** Headers of the calls that brought them. */
  readonly asked: http.IncomingHttpHeaders[] = [];
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  static async start(keys?: ServerKeys): Promise<ZipkinCollector> {
    const take: http.RequestListener = (request, response) => {
      let body = '';
      request.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      request.on('end', () => {
        collector.asked.push(request.headers);
        if (request.url === '/api/v2/spans') collector.spans.push(...(JSON.parse(body) as ZipkinSpan[]));
        response.writeHead(202).end();
      });
    };
    const server = keys === undefined ? http.createServer(take) : https.createServer({ ...keys }, take);
    const collector = new ZipkinCollector(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return collector;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export class DatadogAgent {
  readonly #server: http.Server;
  #traces = '';

  private constructor(server: http.Server) {
    this.#server = server;
    server.on('request', (request: http.IncomingMessage, response: http.ServerResponse) => {
      const isTraces = request.url?.endsWith('/traces') === true;
      request.setEncoding('latin1').on('data', (chunk: string) => {
        if (isTraces) this.#traces += chunk;
      });
      request.on('end', () => response.writeHead(200, { 'content-type': 'application/json' }).end('{}'));
    });
  }

  static async start(): Promise<DatadogAgent> {
    const server = http.createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new DatadogAgent(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Whether some trace has this text in it. */
  has(text: string): boolean {
    return this.#traces.includes(text);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

/** Any OTLP service: path of the call -> the messages, as text in which strings can be found. */
export class OtlpCollector {
  readonly #told: { readonly path: string; readonly text: string }[] = [];
  /** Headers of the calls that have ended, and of all. */
  readonly asked: http2.IncomingHttpHeaders[] = [];
  readonly opened: http2.IncomingHttpHeaders[] = [];
  readonly #streams: { readonly path: string; readonly chunks: readonly Buffer[] }[] = [];
  readonly #server: http2.Http2Server;
  readonly #sessions = new Set<http2.ServerHttp2Session>();

  private constructor(server: http2.Http2Server) {
    this.#server = server;
    server.on('session', (session) => this.#sessions.add(session));
    server.on('stream', (stream, headers) => {
      const chunks: Buffer[] = [];
      this.opened.push(headers);
      this.#streams.push({ path: String(headers[':path']), chunks });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', () => {});
      stream.on('end', () => {
        // A call that goes on for ever ends with its connection.
        if (stream.destroyed) return;
        this.asked.push(headers);
        this.#told.push({ path: String(headers[':path']), text: Buffer.concat(chunks).toString('latin1') });
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
        // An empty message: nothing was refused.
        stream.end(Buffer.alloc(5));
      });
    });
  }

  static async start(keys?: ServerKeys): Promise<OtlpCollector> {
    const server = keys === undefined ? http2.createServer() : http2.createSecureServer({ ...keys });
    const collector = new OtlpCollector(server);
    collector.#server.listen(0, '127.0.0.1');
    await once(collector.#server, 'listening');
    return collector;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Everything that has come so far by calls of this path, which need not have ended. */
  streamed(path: string): string {
    return this.#streams
      .filter((stream) => stream.path === path)
      .flatMap(({ chunks }) => chunks)
      .map((chunk) => chunk.toString('latin1'))
      .join('');
  }

  /** Everything that came by calls of this service. */
  told(service: 'logs' | 'trace' | 'metrics'): string {
    return this.#told
      .filter(({ path }) => path.startsWith(`/opentelemetry.proto.collector.${service}.`))
      .map(({ text }) => text)
      .join('\n');
  }

  stop(): void {
    for (const session of this.#sessions) session.destroy();
    this.#server.close();
  }
}
