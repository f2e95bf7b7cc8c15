// SPDX-License-Identifier: Apache-2.0
// The probe's program against real sockets of this machine.
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { createServer as createTls } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { makeRoot } from '../../../../identity/ca-material.ts';
import { ask } from './ask.ts';
import { examine } from './examine.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listen<T extends Server>(server: T): Promise<number> {
  servers.push(server);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function closedPort(): Promise<number> {
  const port = await listen(createServer());
  servers.pop()?.close();
  return port;
}

const door = (port: number, otherPorts: number[] = []) => ({ address: '127.0.0.1', port, sni: 'x.global', otherPorts });

test('a port that refuses, beside one that answers', async () => {
  const [port, other] = [await closedPort(), await listen(createServer())];
  expect(await examine(door(port, [other]))).toMatchObject({
    tcp: 'refused',
    otherPorts: [{ port: other, tcp: 'open' }],
  });
});

test('TLS shows its chain; what speaks HTTP is heard', async () => {
  const { certPem, keyPem } = makeRoot({ organization: 'x', commonName: 'shown', days: 1, nowMs: Date.now() });
  const secure = await examine(door(await listen(createTls({ cert: certPem, key: keyPem }))));
  expect(secure.tls).toMatchObject({ kind: 'chain', chain: [expect.stringContaining('BEGIN CERTIFICATE')] });
  expect(secure.plain).toBe('');
  const plain = await examine(door(await listen(createHttp((_, response) => response.end('x')))));
  expect(plain.tls).toMatchObject({ kind: 'not-tls' });
  expect(plain.plain).toMatch(/^HTTP\/1\.1 200/);
});

test('what takes the connection and closes it', async () => {
  const sight = await examine(door(await listen(createServer((socket) => socket.destroy()))));
  expect(sight).toMatchObject({ tcp: 'open', tls: { kind: 'closed' }, plain: '' });
});

test('a name without an address', async () => {
  const sight = await examine({ ...door(1), address: 'nobody.invalid' });
  expect(sight).toMatchObject({ addresses: [], tcp: { error: 'the name does not resolve' } });
});

test('it is asked again until the right one answers; and by address where the name does not resolve', async () => {
  let asked = 0;
  const server = createHttp((_, response) => {
    asked += 1;
    response.end(JSON.stringify({ cluster: asked < 3 ? 'other' : 'wanted', clientCertificate: '' }));
  });
  const port = await listen(server);
  const answer = await ask({ host: 'localhost', port, byName: true, patienceMs: 5_000 }, 'wanted');
  expect(answer).toMatchObject({
    attempts: 3,
    lookup: { addresses: expect.arrayContaining(['127.0.0.1']) },
    outcome: { status: 200 },
  });
  const question = { host: 'nobody.invalid', address: '127.0.0.1', port, patienceMs: 0 };
  const unnamed = await ask({ ...question, byName: true }, 'wanted');
  expect(unnamed).toMatchObject({ lookup: { error: expect.any(String) }, outcome: { status: 200 } });
  expect(await ask({ ...question, byName: false, patienceMs: 5_000 }, 'wanted')).toMatchObject({ attempts: 1 });
});
