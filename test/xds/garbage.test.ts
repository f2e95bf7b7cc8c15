// SPDX-License-Identifier: Apache-2.0
// Whatever a client sends, it gets a status, the server lives, and others are served.

import { type ClientHttp2Session, connect as connectHttp2, constants, type IncomingHttpHeaders } from 'node:http2';
import { connect } from 'node:net';
import { create, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DeltaDiscoveryRequestSchema } from '#gen/envoy/service/discovery/v3/discovery_pb.ts';
import { messagePrefix } from '../../src/xds/grpc/framing.ts';
import { startXdsServer, trustLoopback, type XdsServer } from '../../src/xds/server.ts';
import { CLUSTER_TYPE } from '../../src/xds/session/type-urls.ts';
import { rounds } from '../fixture/counts.ts';
import { expectSoon } from '../fixture/waiting.ts';
import { ADS } from './discovery-client.ts';
import { MemoryBackend, resource } from './memory-backend.ts';

const backend = new MemoryBackend([resource(CLUSTER_TYPE, 'a', Buffer.from('a'))]);
const errors: Error[] = [];
const controller = new AbortController();
let server: XdsServer;
let session: ClientHttp2Session;

const peer = { trustDomain: '', clusterName: '', namespace: '', serviceAccount: '', podName: '', podUid: '' };
const first = toBinary(
  DeltaDiscoveryRequestSchema,
  create(DeltaDiscoveryRequestSchema, { node: { id: 'n' }, typeUrl: CLUSTER_TYPE }),
);
const framed = (message: Uint8Array) => Buffer.concat([messagePrefix(message.length), message]);

interface Answer {
  readonly httpStatus: number;
  readonly grpcStatus: string | undefined;
  readonly message: string;
}

/** One call: headers, chunks, half-close; resolves with its end. */
function call(headers: Record<string, string>, chunks: readonly Uint8Array[]): Promise<Answer> {
  return new Promise((resolve) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `${ADS}/DeltaAggregatedResources`,
      'content-type': 'application/grpc',
      te: 'trailers',
      ...headers,
    });
    let httpStatus = 0;
    let end: IncomingHttpHeaders = {};
    stream.on('response', (response) => {
      httpStatus = Number(response[':status']);
      end = response;
    });
    stream.on('trailers', (trailers) => {
      end = trailers;
    });
    stream.on('error', () => {});
    stream.on('close', () =>
      resolve({
        httpStatus,
        grpcStatus: end['grpc-status'] as string | undefined,
        message: decodeURIComponent((end['grpc-message'] as string | undefined) ?? ''),
      }),
    );
    stream.resume();
    for (const chunk of chunks) stream.write(chunk);
    stream.end();
  });
}

beforeAll(async () => {
  server = await startXdsServer(
    {
      listen: { host: '127.0.0.1', port: 0 },
      authenticator: trustLoopback(peer),
      ads: backend,
      limits: { maxMessageBytes: 1000, shutdownGraceMs: 200 },
      onError: (error, about) => about === 'handler' && errors.push(error),
    },
    controller.signal,
  );
  session = connectHttp2(`http://127.0.0.1:${server.port}`);
  session.on('error', () => {});
});

afterAll(async () => {
  session.destroy();
  controller.abort();
  await server.close();
});

async function expectAlive(): Promise<void> {
  expect(await call({}, [framed(first)])).toMatchObject({ httpStatus: 200, grpcStatus: '0' });
  expect(errors).toEqual([]);
}

describe('a server that is sent garbage', () => {
  it('answers any bytes with a status', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 5 }),
        fc.boolean(),
        async (chunks, hasFirst) => {
          const answer = await call({}, hasFirst ? [framed(first), ...chunks] : chunks);
          expect(answer.httpStatus).toBe(200);
          expect(['0', '3', '8', '12']).toContain(answer.grpcStatus);
        },
      ),
      { seed: 1, numRuns: rounds(150) },
    );
    await expectAlive();
  });

  it('answers any framed message with a status', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 60 }),
        fc.nat(),
        fc.integer({ min: 0, max: 255 }),
        async (bytes, at, octet) => {
          const damaged = Buffer.from(first);
          damaged[at % damaged.length] = octet;
          for (const message of [bytes, damaged]) {
            const answer = await call({}, [framed(message)]);
            expect(answer.httpStatus).toBe(200);
            expect(['0', '3']).toContain(answer.grpcStatus);
          }
        },
      ),
      { seed: 2, numRuns: rounds(150) },
    );
    await expectAlive();
  });

  it('names what it does not do', async () => {
    expect(await call({ ':path': '/x/y' }, [])).toMatchObject({ grpcStatus: '12', message: 'no such method' });
    expect(await call({ 'grpc-encoding': 'gzip' }, [])).toMatchObject({ grpcStatus: '12' });
    expect(await call({ 'grpc-timeout': 'soon' }, [])).toMatchObject({ grpcStatus: '3' });
    expect(await call({ 'content-type': 'text/plain' }, [])).toMatchObject({ httpStatus: 415, grpcStatus: undefined });
    expect(await call({ 'content-type': 'application/grpc-web' }, [])).toMatchObject({ httpStatus: 415 });
    expect(await call({ ':method': 'GET' }, [])).toMatchObject({ httpStatus: 405 });
    expect(await call({}, [messagePrefix(1001)])).toMatchObject({ grpcStatus: '8' });
    expect(await call({}, [framed(first).subarray(0, 20)])).toMatchObject({
      grpcStatus: '3',
      message: /within a message/,
    });
    await expectAlive();
  });

  it('keeps deadlines', async () => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `${ADS}/DeltaAggregatedResources`,
      'content-type': 'application/grpc',
      'grpc-timeout': '100m',
    });
    stream.write(framed(first));
    stream.resume();
    const trailers = await new Promise<IncomingHttpHeaders>((resolve) => {
      stream.on('trailers', resolve);
    });
    expect(trailers['grpc-status']).toBe('4');
  });

  it('survives raw bytes that are no HTTP/2, and torn connections', async () => {
    for (const bytes of [
      Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      Buffer.alloc(5000, 0xff),
      Buffer.from([0x16, 3, 1, 0, 5]),
    ]) {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => {});
      socket.write(bytes);
      await new Promise((resolve) => setTimeout(resolve, 30));
      socket.destroy();
    }
    const torn = connectHttp2(`http://127.0.0.1:${server.port}`);
    torn.on('error', () => {});
    const stream = torn.request({
      ':method': 'POST',
      ':path': `${ADS}/DeltaAggregatedResources`,
      'content-type': 'application/grpc',
    });
    stream.on('error', () => {});
    stream.write(framed(first).subarray(0, 9));
    await new Promise((resolve) => setTimeout(resolve, 30));
    torn.destroy(new Error('torn'), constants.NGHTTP2_INTERNAL_ERROR);
    await expectSoon(() => server.streams().length).toBe(0);
    await expectAlive();
  });

  it('lets go of a client that does not read, when its credential ends', async () => {
    const large = new MemoryBackend([resource(CLUSTER_TYPE, 'large', Buffer.alloc(500_000))]);
    const stop = new AbortController();
    const expiring = await startXdsServer(
      {
        listen: { host: '127.0.0.1', port: 0 },
        authenticator: { authenticate: async () => ({ ...peer, expiresAtMs: Date.now() + 200 }) },
        ads: large,
        limits: { flushOnEndMs: 100, shutdownGraceMs: 100 },
      },
      stop.signal,
    );
    const deaf = connectHttp2(`http://127.0.0.1:${expiring.port}`);
    deaf.on('error', () => {});
    const stream = deaf.request({
      ':method': 'POST',
      ':path': `${ADS}/DeltaAggregatedResources`,
      'content-type': 'application/grpc',
    });
    stream.on('error', () => {});
    stream.pause();
    stream.write(framed(first));
    await expectSoon(() => large.open).toBe(1);
    await expectSoon(() => large.open).toBe(0);
    expect(expiring.streams()).toEqual([]);
    deaf.destroy();
    stop.abort();
    await expiring.close();
  });

  it('ends though a client does not end its half of the connection', async () => {
    const stop = new AbortController();
    const ending = await startXdsServer(
      {
        listen: { host: '127.0.0.1', port: 0 },
        authenticator: trustLoopback(peer),
        ads: backend,
        limits: { shutdownGraceMs: 100 },
      },
      stop.signal,
    );
    const lasting = connect({ port: ending.port, host: '127.0.0.1', allowHalfOpen: true });
    lasting.on('error', () => {}).resume();
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    const noSettings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    lasting.write(Buffer.concat([preface, noSettings]));
    const silent = connect({ port: ending.port, host: '127.0.0.1', allowHalfOpen: true });
    silent.on('error', () => {}).resume();
    await expectSoon(() => ending.connectionCount).toBe(2);
    const startedAt = performance.now();
    stop.abort();
    await ending.close();
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    lasting.destroy();
    silent.destroy();
  });

  it('leaves no stream behind', async () => {
    await expectSoon(() => backend.open).toBe(0);
    expect(server.streams()).toEqual([]);
  });
});
