// SPDX-License-Identifier: Apache-2.0
// What the least server can cost that sends proxies on demand the same bytes: node:http2, messages recorded before, and nothing
// else. As a program: node bench/on-demand/floor.ts RECORDING DIR PORT (a file renamed below DIR/config is the next change).
import { readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { createServer, type ServerHttp2Stream } from 'node:http2';
import { join } from 'node:path';

/** What one proxy received, and when in the order of things. */
export class Recording {
  /** gRPC messages with their prefixes, in base64; `after`: how many the proxy had sent by then. */
  readonly #initial: { readonly after: number; readonly message: string }[] = [];
  readonly #changes: string[][] = [];

  add(message: Buffer, after: number): void {
    const text = message.toString('base64');
    const change = this.#changes.at(-1);
    if (change === undefined) this.#initial.push({ after, message: text });
    else change.push(text);
  }

  startChange(): void {
    this.#changes.push([]);
  }

  write(file: string): void {
    writeFileSync(file, JSON.stringify({ initial: this.#initial, changes: this.#changes }));
  }
}

const PREFIX_BYTES = 5;

/** Counts gRPC messages in what it is given. */
function messageCounter(): (chunk: Buffer) => number {
  let count = 0;
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= PREFIX_BYTES && rest.length >= PREFIX_BYTES + rest.readUInt32BE(1)) {
      rest = rest.subarray(PREFIX_BYTES + rest.readUInt32BE(1));
      count++;
    }
    return count;
  };
}

function serve(file: string, dir: string, port: number): void {
  const read = JSON.parse(readFileSync(file, 'utf8')) as {
    initial: { after: number; message: string }[];
    changes: string[][];
  };
  const initial = read.initial.map(({ after, message }) => ({ after, message: Buffer.from(message, 'base64') }));
  const changes = read.changes.map((each) => Buffer.concat(each.map((message) => Buffer.from(message, 'base64'))));
  const streams = new Set<ServerHttp2Stream>();
  const server = createServer();
  server.on('stream', (stream) => {
    const count = messageCounter();
    let next = 0;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
    stream.on('error', () => {});
    stream.on('close', () => streams.delete(stream));
    stream.on('data', (chunk: Buffer) => {
      for (const received = count(chunk); next < initial.length && initial[next]!.after <= received; next++) {
        stream.write(initial[next]!.message);
      }
    });
    streams.add(stream);
  });
  let turn = 0;
  const config = join(dir, 'config');
  for (const namespace of readdirSync(config)) {
    watch(join(config, namespace), (event, name) => {
      const bytes = changes[turn];
      if (event !== 'rename' || name?.endsWith('.yaml') !== true || bytes === undefined) return;
      turn++;
      for (const stream of streams) stream.write(bytes);
    });
  }
  server.listen(port, '127.0.0.1', 4096, () => console.log(`floor on 127.0.0.1:${port}`));
}

if (import.meta.main) serve(process.argv[2]!, process.argv[3]!, Number(process.argv[4]));
