// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { createApiProxy, createDoor } from './portal.ts';

describe('the portal', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  async function listen<T extends Server>(server: T): Promise<number> {
    servers.push(server);
    server.listen({ host: '127.0.0.1', port: 0 });
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  }

  async function say(port: number, request: string): Promise<string> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.write(request);
    return text(socket);
  }

  const request = 'GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n';

  it('leads to the API servers only', async () => {
    const port = await listen(createApiProxy([{ name: 'cluster1', nodeAddress: '127.0.0.9' }]));
    for (const target of ['127.0.0.1:22', '127.0.0.9:22', '127.0.0.9:6443.', 'localhost:6443', '']) {
      expect(await say(port, `CONNECT ${target} HTTP/1.1\r\nhost: x\r\n\r\n`), target).toMatch(/^HTTP\/1.1 40[03] /);
    }
    expect(await say(port, request)).toMatch(/^HTTP\/1.1 403 .*127\.0\.0\.9:6443/s);
    expect(await say(port, 'CONNECT 127.0.0.9:6443 HTTP/1.1\r\nhost: x\r\n\r\n')).toMatch(/^HTTP\/1.1 502 .*cluster1/s);
  });

  it('passes bytes through once the API server is there', async () => {
    const api = createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket));
    servers.push(api);
    api.listen({ host: '127.0.0.9', port: 6443 });
    await once(api, 'listening');
    const port = await listen(createApiProxy([{ name: 'cluster1', nodeAddress: '127.0.0.9' }]));
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    socket.write('CONNECT 127.0.0.9:6443 HTTP/1.1\r\nhost: x\r\n\r\nearly ');
    await once(socket, 'readable');
    socket.end('late');
    expect(await text(socket)).toBe('HTTP/1.1 200 Connection established\r\n\r\nearly late');
  });

  it('leads to the gateway as it is found at that moment, and says what is missing', async () => {
    let target: { host: string; port: number } | string = 'cluster1 has no istio-ingressgateway.';
    const door = await listen(createDoor(async () => target, 'cluster1'));
    expect(await say(door, request)).toMatch(/^HTTP\/1.1 503 .*\r\n\r\ncluster1 has no istio-ingressgateway\.\n$/s);
    const gateway = createHttpServer((_, response) => response.end('hello'));
    target = { host: '127.0.0.1', port: await listen(gateway) };
    expect(await say(door, request)).toMatch(/^HTTP\/1.1 200 .*hello/s);
    const mute = createServer((socket) => socket.once('data', () => socket.destroy()));
    target = { host: '127.0.0.1', port: await listen(mute) };
    expect(await say(door, request)).toMatch(/^HTTP\/1.1 503 .*not ready/s);
    target = { host: '127.0.0.1', port: 1 };
    expect(await say(door, request)).toMatch(/^HTTP\/1.1 503 .*not ready/s);
  });

  it('an API server that does not answer is said, not waited for', async () => {
    const door = await listen(createDoor(() => Promise.reject(new Error('connection refused')), 'cluster2'));
    expect(await say(door, request)).toMatch(/503 .*API server of cluster2 cannot be asked.*connection refused/s);
  });
});
