// SPDX-License-Identifier: Apache-2.0
// One request of each kind, by a connection of its own.
import { once } from 'node:events';
import { type Agent, request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';

export interface Asked {
  readonly ip: string;
  readonly port: number;
  readonly host: string;
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  /** Absent: a connection of its own. */
  readonly agent?: Agent;
  readonly timeoutMs?: number;
}

export interface Answer {
  /** 0: none. */
  readonly status: number;
  readonly backend: string | undefined;
  readonly body: string;
  /** Why there was no answer. */
  readonly problem?: string;
}

export async function askHttp({
  ip,
  port,
  host,
  path = '/',
  headers = {},
  body,
  agent,
  timeoutMs = 20_000,
}: Asked): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const fail = (problem: string): void => resolve({ status: 0, backend: undefined, body: '', problem });
  const method = body === undefined ? 'GET' : 'POST';
  const sent = httpRequest(
    { host: ip, port, method, path, agent: agent ?? false, headers: { ...headers, host } },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', (error) => fail(error.message));
      response.on('end', () => {
        const backend = response.headers['x-backend'];
        resolve({
          status: response.statusCode ?? 0,
          backend: typeof backend === 'string' ? backend : undefined,
          body: text,
        });
      });
    },
  );
  sent.setTimeout(timeoutMs, () => sent.destroy(new Error('timeout')));
  sent.on('error', (error) => fail(error.message));
  sent.end(body);
  return promise;
}

/** A request as gRPC sends it; the answer's body names the backend. */
export async function askHttp2({
  ip,
  port,
  host,
  path = '/shop.Shop/List',
  timeoutMs = 20_000,
}: Asked): Promise<Answer> {
  const session = connectHttp2(`http://${ip}:${port}`);
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const fail = (problem: string): void => resolve({ status: 0, backend: undefined, body: '', problem });
  session.on('error', (error) => fail(error.message));
  const stream = session.request({
    ':method': 'POST',
    ':authority': host,
    ':path': path,
    'content-type': 'application/grpc',
  });
  stream.setTimeout(timeoutMs, () => fail('timeout'));
  let [status, body] = [0, ''];
  let grpcStatus: string | undefined;
  stream.on('response', (headers) => {
    status = headers[':status'] ?? 0;
    grpcStatus = headers['grpc-status'] as string | undefined;
  });
  stream.on('trailers', (trailers) => {
    grpcStatus = trailers['grpc-status'] as string | undefined;
  });
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    body += chunk;
  });
  stream.on('error', (error) => fail(error.message));
  stream.on('end', () => resolve({ status: grpcStatus === '0' ? status : 503, backend: body || undefined, body }));
  stream.end(Buffer.from([0, 0, 0, 0, 0]));
  try {
    return await promise;
  } finally {
    session.destroy();
  }
}

/** The server's first line, and what it echoes. */
export async function askTcp({ ip, port, timeoutMs = 20_000 }: Omit<Asked, 'host'>): Promise<Answer> {
  const socket = connect(port, ip);
  socket.setTimeout(timeoutMs, () => socket.destroy(new Error('timeout')));
  try {
    await once(socket, 'connect');
    socket.write('hello\n');
    let text = '';
    for await (const chunk of socket) {
      text += String(chunk);
      if (text.includes('hello')) break;
    }
    const [backend] = text.split('\n');
    return { status: text.includes('hello') ? 200 : 0, backend, body: text };
  } catch (error) {
    return { status: 0, backend: undefined, body: '', problem: (error as Error).message };
  } finally {
    socket.destroy();
  }
}
