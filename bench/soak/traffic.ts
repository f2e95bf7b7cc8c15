// SPDX-License-Identifier: Apache-2.0
// Requests of all kinds through one sidecar, one after the other, each judged by its answer.
import { createHash, randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { type Answer, askHttp, askHttp2, askTcp } from '../../test/on-demand/requests.ts';
import { PORTS, type SoakMesh } from './mesh.ts';

export const KINDS = [
  'get',
  'post',
  'post 2 MB',
  'grpc',
  'websocket',
  'tcp',
  'retried',
  'stranger',
  'aborted',
] as const;
export type RequestKind = (typeof KINDS)[number];

/** How often each kind is, of all: the rest are plain requests. */
const SHARES: readonly (readonly [RequestKind, number])[] = [
  ['post', 0.1],
  ['post 2 MB', 0.002],
  ['grpc', 0.03],
  ['websocket', 0.02],
  ['tcp', 0.02],
  ['retried', 0.05],
  ['stranger', 0.02],
  ['aborted', 0.03],
];

export interface Judged {
  readonly kind: RequestKind;
  readonly ms: number;
  /** Why it is lost; undefined: as it should be. */
  readonly loss: string | undefined;
}

const SMALL = Buffer.alloc(20_000, 'a');
const LARGE = Buffer.alloc(2_000_000, 'b');
const HASHES = new Map<Buffer, string>(
  [SMALL, LARGE].map((body) => [body, createHash('sha1').update(body).digest('hex')]),
);
const TIMEOUT_MS = 90_000;

export class SidecarTraffic {
  readonly #ip: string;
  readonly #mesh: SoakMesh;
  readonly #random: () => number;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(ip: string, mesh: SoakMesh, random: () => number) {
    this.#ip = ip;
    this.#mesh = mesh;
    this.#random = random;
  }

  async one(): Promise<Judged> {
    const kind = this.#kind();
    const startedAt = performance.now();
    const loss = await this.#ask(kind);
    return { kind, ms: performance.now() - startedAt, loss };
  }

  /** The sidecar behind it ends. */
  close(): void {
    this.#agent.destroy();
  }

  #kind(): RequestKind {
    let rest = this.#random();
    for (const [kind, share] of SHARES) {
      if (rest < share) return kind;
      rest -= share;
    }
    return 'get';
  }

  async #ask(kind: RequestKind): Promise<string | undefined> {
    const ip = this.#ip;
    // Some are called often, most seldom: there is always one that was never called before.
    const service = this.#mesh.services[Math.floor(this.#random() ** 3 * this.#mesh.services.length)]!;
    const path = this.#random() < 0.3 ? '/any' : '/';
    switch (kind) {
      case 'get':
        return judge(await this.#http(PORTS.http, service.host, path), service.backends);
      case 'post':
      case 'post 2 MB': {
        const body = kind === 'post' ? SMALL : LARGE;
        const answer = await this.#http(PORTS.http, service.host, path, body);
        return judge(answer, service.backends) ?? judgeBody(answer, body);
      }
      case 'grpc':
        return judge(await askHttp2({ ip, port: PORTS.grpc, host: 'grpc.soak.example.com', timeoutMs: TIMEOUT_MS }), [
          'grpc',
        ]);
      case 'tcp':
        return judge(await askTcp({ ip, port: PORTS.tcp, timeoutMs: TIMEOUT_MS }), ['tcp']);
      case 'retried':
        return judge(await this.#http(PORTS.retried, 'flaky.soak.example.com', `/${randomUUID()}`), ['flaky']);
      case 'stranger': {
        const host = `host-${Math.floor(this.#random() * 50)}.example.net`;
        return judge(await this.#http(PORTS.http, host, '/'), ['stranger']);
      }
      case 'websocket':
        return this.#upgrade(service.host);
      case 'aborted':
        return this.#abort(service.host);
    }
  }

  #http(port: number, host: string, path: string, body?: Buffer): Promise<Answer> {
    const sent = body === undefined ? {} : { body };
    return askHttp({ ip: this.#ip, port, host, path, agent: this.#agent, timeoutMs: TIMEOUT_MS, ...sent });
  }

  /** Upgrades, and waits for an echo. */
  async #upgrade(host: string): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const headers = {
      host,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-key': 'x',
      'sec-websocket-version': '13',
    };
    const sent = httpRequest({ host: this.#ip, port: PORTS.http, path: '/any', headers, agent: false });
    sent.setTimeout(TIMEOUT_MS, () => sent.destroy(new Error('timeout')));
    sent.on('error', (error) => resolve(error.message));
    sent.on('response', (response) => {
      response.resume();
      resolve(`no upgrade, but ${response.statusCode}`);
    });
    sent.on('upgrade', (_response, socket) => {
      socket.on('error', (error) => resolve(error.message));
      socket.on('data', (chunk: Buffer) => {
        if (chunk.includes('ping')) resolve(undefined);
        socket.destroy();
      });
      socket.on('close', () => resolve('closed before the echo'));
      socket.write('ping');
    });
    sent.end();
    return promise;
  }

  /** A client that leaves after some milliseconds, in the middle of its body. Nothing of it is lost to anybody. */
  async #abort(host: string): Promise<undefined> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const socket = connect(PORTS.http, this.#ip);
    socket.on('error', () => resolve(undefined));
    socket.on('connect', () => {
      socket.write(`POST / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 100000\r\n\r\nsome`);
      setTimeout(() => {
        socket.destroy();
        resolve(undefined);
      }, this.#random() * 20);
    });
    return promise;
  }
}

function judge({ status, backend, problem, body }: Answer, backends: readonly string[]): string | undefined {
  if (status !== 200) return problem ?? `status ${status}: ${body.slice(0, 160)}`;
  return backend !== undefined && backends.includes(backend) ? undefined : `answered by ${backend}`;
}

function judgeBody(answer: Answer, body: Buffer): string | undefined {
  return answer.body.includes(HASHES.get(body)!) ? undefined : 'the body arrived broken';
}
