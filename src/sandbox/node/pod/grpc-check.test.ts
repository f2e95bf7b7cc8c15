// SPDX-License-Identifier: Apache-2.0
import { createServer, type Http2Server, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { checkGrpcHealth } from './grpc-check.ts';

describe('a gRPC health check', () => {
  let server: Http2Server | undefined;
  afterEach(() => server?.close());

  async function serve(answer: (stream: ServerHttp2Stream, path: string, body: Buffer) => void): Promise<number> {
    const started = createServer();
    server = started;
    started.on('stream', (stream, headers) => {
      const chunks: Buffer[] = [];
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('end', () => answer(stream, String(headers[':path']), Buffer.concat(chunks)));
    });
    await new Promise<void>((resolve) => started.listen(0, '127.0.0.1', resolve));
    return (started.address() as AddressInfo).port;
  }

  function reply(stream: ServerHttp2Stream, message: Buffer, status = '0') {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status, 'grpc-message': 'm' }));
    stream.end(message.length > 0 ? Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), message]) : message);
  }

  it('is passed by a service that serves, and asks for it by name', async () => {
    const asked: string[] = [];
    const port = await serve((stream, path, body) => {
      asked.push(path, body.toString('hex'));
      reply(stream, Buffer.of(0x08, 1));
    });
    expect(await checkGrpcHealth({ host: '127.0.0.1', port, service: 'ab' }, 5_000)).toBeUndefined();
    expect(asked).toEqual(['/grpc.health.v1.Health/Check', '00000000040a026162']);
  });

  it.each([
    ['does not serve', Buffer.of(0x08, 2), '0', 'service unhealthy (responded with "NOT_SERVING")'],
    ['does not know', Buffer.alloc(0), '0', 'service unhealthy (responded with "UNKNOWN")'],
    ['has no such service', Buffer.alloc(0), '5', 'code = 5'],
    ['knows no health checks', Buffer.alloc(0), '12', 'does not implement the grpc health protocol'],
  ])('is not passed by one that %s', async (_, message, status, problem) => {
    const port = await serve((stream) => reply(stream, message, status));
    expect(await checkGrpcHealth({ host: '127.0.0.1', port, service: '' }, 5_000)).toContain(problem);
  });

  it('gives up after its time, and says where nobody listens', async () => {
    const port = await serve(() => {});
    expect(await checkGrpcHealth({ host: '127.0.0.1', port, service: '' }, 50)).toContain('within 0.05s');
    server?.close();
    expect(await checkGrpcHealth({ host: '127.0.0.1', port: 1, service: '' }, 5_000)).toContain('ECONNREFUSED');
  });
});
