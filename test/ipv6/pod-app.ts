// SPDX-License-Identifier: Apache-2.0
// An application: serves HTTP on 8080 and TCP on 5432 at all of its addresses, and makes the calls that it reads from stdin, one
// JSON object a line.
import http from 'node:http';
import net from 'node:net';
import { createInterface } from 'node:readline';

export interface PodCall {
  readonly kind: 'http' | 'tcp';
  readonly address: string;
  readonly port: number;
  /** Of HTTP; the address itself where absent. */
  readonly host?: string;
  readonly path?: string;
}

/** What the other end said of itself and its caller; `error`: why there was no answer. */
export interface PodAnswer {
  readonly pod?: string;
  readonly remote?: string;
  /** Who the server's sidecar says that the caller is. */
  readonly xfcc?: string;
  readonly status?: number;
  readonly error?: string;
}

const pod = process.argv[2]!;
const PATIENCE_MS = 10_000;

http
  .createServer(({ socket, headers }, response) => {
    const said = { pod, remote: socket.remoteAddress, xfcc: headers['x-forwarded-client-cert'] };
    response.setHeader('connection', 'close').end(JSON.stringify(said));
  })
  .listen(8080, '::');
net
  .createServer((socket) => {
    socket.once('data', () => socket.end(JSON.stringify({ pod, remote: socket.remoteAddress })));
    socket.on('error', () => {});
  })
  .listen(5432, '::');

for await (const line of createInterface(process.stdin)) {
  const { id, call } = JSON.parse(line) as { id: number; call: PodCall };
  const dial = call.kind === 'http' ? getHttp : readTcp;
  void dial(call).then((answer) => process.stdout.write(`${JSON.stringify({ id, answer })}\n`));
}

function getHttp({ address, port, host, path = '/' }: PodCall): Promise<PodAnswer> {
  return new Promise((resolve) => {
    const headers = host === undefined ? {} : { host };
    const sent = http.get({ host: address, port, path, headers, agent: false, timeout: PATIENCE_MS }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('error', ({ message }) => resolve({ error: message }));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, ...parsed(body) }));
    });
    sent.on('timeout', () => sent.destroy(new Error('no answer in time')));
    sent.on('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
  });
}

function readTcp({ address, port }: PodCall): Promise<PodAnswer> {
  return new Promise((resolve) => {
    let body = '';
    const socket = net.connect(port, address);
    // A sidecar looks at what comes first before it lets anything through.
    socket.write('hello\n');
    socket.setTimeout(PATIENCE_MS, () => socket.destroy(new Error('no answer in time')));
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve({ error: error.code ?? error.message }));
    socket.on('end', () => resolve(parsed(body)));
    socket.on('close', () => resolve({ error: 'closed' }));
  });
}

function parsed(body: string): PodAnswer {
  try {
    return JSON.parse(body) as PodAnswer;
  } catch {
    return { error: body === '' ? 'closed' : body };
  }
}
