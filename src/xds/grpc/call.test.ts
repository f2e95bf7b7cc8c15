// SPDX-License-Identifier: Apache-2.0
import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from 'node:http2';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { GrpcCall } from './call.ts';
import { messagePrefix } from './framing.ts';
import { type GrpcHandler, startGrpcServer } from './server.ts';
import { GrpcError } from './status.ts';

let handle: GrpcHandler;
let client: ClientHttp2Session;
let stop: AbortController;

beforeEach(async () => {
  stop = new AbortController();
  const options = {
    listen: { host: '127.0.0.1', port: 0 },
    handlers: new Map([['/test', (call: GrpcCall) => handle(call)]]),
  };
  const { port } = await startGrpcServer(options, stop.signal);
  client = connect(`http://127.0.0.1:${port}`);
});

afterEach(() => {
  client.destroy();
  stop.abort();
});

function request(): ClientHttp2Stream {
  const headers = { ':method': 'POST', ':path': '/test', 'content-type': 'application/grpc' };
  return client
    .request(headers)
    .on('error', () => {})
    .resume();
}

test('a message that is being taken when the peer goes is waited for', async () => {
  const [isTaking, taken, gone] = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  let isOver = false;
  handle = async (call) => {
    void call.closed.then(gone!.resolve);
    await call.receive(() => {
      isTaking!.resolve();
      return taken!.promise;
    });
    isOver = true;
  };
  const stream = request();
  stream.write(messagePrefix(0));
  await isTaking!.promise;
  stream.close(constants.NGHTTP2_CANCEL);
  await gone!.promise;
  await turn();
  expect(isOver).toBe(false);
  taken!.resolve();
  await expect.poll(() => isOver).toBe(true);
});

test('a call that was refused is over, though the peer had more to say', async () => {
  let isClosed = false;
  handle = async (call) => {
    void call.closed.then(() => {
      isClosed = true;
    });
    await call.receive(() => {
      throw new GrpcError('INVALID_ARGUMENT', 'no');
    });
  };
  request().write(Buffer.concat([messagePrefix(0), Buffer.alloc(500_000)]));
  await expect.poll(() => isClosed).toBe(true);
});
