// SPDX-License-Identifier: Apache-2.0
import http from 'node:http';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, expect, test } from 'vitest';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../pki/x509.ts';
import { KubeClient } from './client.ts';
import { CONFIG_MAPS } from './resources.ts';
import { configMap, configMapList, sendJson, sendStatus, startScriptedServer } from './testing/scripted-server.ts';

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function clientOf(...parameters: Parameters<typeof startScriptedServer>) {
  const server = await startScriptedServer(...parameters);
  cleanups.push(() => server.close());
  let token = 'first';
  const client = new KubeClient({ server: server.address, token: () => token });
  cleanups.push(() => client.close());
  const setToken = (next: string): void => {
    token = next;
  };
  return { client, server, setToken };
}

test('reads the token anew for every request', async () => {
  const { client, server, setToken } = await clientOf((exchange) => sendJson(exchange, configMap('a', 1)));
  await client.get(CONFIG_MAPS, 'a', 'ns');
  setToken('second');
  await client.get(CONFIG_MAPS, 'a', 'ns');
  expect(server.exchanges.map(({ headers }) => headers.authorization)).toEqual(['Bearer first', 'Bearer second']);
});

test('a missing object is undefined, another refusal a KubeError with the Status', async () => {
  const { client } = await clientOf((exchange, index) => {
    if (index === 0) sendStatus(exchange, 404, 'NotFound', 'configmaps "a" not found');
    else sendStatus(exchange, 403, 'Forbidden', 'no');
  });
  expect(await client.get(CONFIG_MAPS, 'a', 'ns')).toBeUndefined();
  await expect(client.get(CONFIG_MAPS, 'a', 'ns')).rejects.toMatchObject({
    code: 403,
    reason: 'Forbidden',
    message: 'no',
  });
});

test('an answer that is not from Kubernetes names the request', async () => {
  const { client, server } = await clientOf(({ response }) => {
    response.writeHead(502).end('<html>bad gateway');
  });
  await expect(client.get(CONFIG_MAPS, 'a', 'ns')).rejects.toThrow(
    `GET ${server.address}/api/v1/namespaces/ns/configmaps/a: HTTP 502: <html>bad gateway`,
  );
});

test('list: when the continue token has expired, everything is read in one piece', async () => {
  const { client, server } = await clientOf((exchange, index) => {
    if (index === 0) sendJson(exchange, configMapList(5, [configMap('a', 1)], 'token'));
    else if (index === 1) sendStatus(exchange, 410, 'Expired', 'the token is too old');
    else sendJson(exchange, configMapList(9, [configMap('a', 1), configMap('b', 2)]));
  });
  const list = await client.list(CONFIG_MAPS);
  expect(list.items.map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
  expect(list.resourceVersion).toBe('9');
  expect(server.exchanges[2]?.url.search).toBe('');
});

test('list: items get the apiVersion and kind that the server leaves out', async () => {
  const { client } = await clientOf((exchange) => sendJson(exchange, configMapList(1, [{ metadata: { name: 'a' } }])));
  expect((await client.list(CONFIG_MAPS)).items).toEqual([
    { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a' } },
  ]);
});

test('a busy server is asked again, a write too: it was not taken', async () => {
  const { client, server } = await clientOf((exchange, index) => {
    if (index === 0) sendJson(exchange, {}, 429, { 'retry-after': '0' });
    else sendJson(exchange, exchange.body, 201);
  });
  await client.create(CONFIG_MAPS, configMap('a', 1));
  expect(server.exchanges.map(({ method }) => method)).toEqual(['POST', 'POST']);
});

test('a GET survives the server closing a kept connection; a POST is never sent twice', async () => {
  const { client, server } = await clientOf((exchange, index) => {
    // The second request on each connection meets a closing server.
    if (index === 1 || index === 4) exchange.socket.destroy();
    else sendJson(exchange, configMap('a', 1));
  });
  await client.get(CONFIG_MAPS, 'a', 'ns');
  expect(await client.get(CONFIG_MAPS, 'a', 'ns')).toMatchObject({ metadata: { name: 'a' } });
  await client.get(CONFIG_MAPS, 'a', 'ns');
  await expect(client.create(CONFIG_MAPS, configMap('b', 1))).rejects.toThrow(/closed the connection/);
  expect(server.exchanges).toHaveLength(5);
});

test('apply creates what is not there, patches what differs, and leaves alone what is covered', async () => {
  const live = { ...configMap('a', 1), data: { kept: 'by others', mine: 'old' } };
  const { client, server } = await clientOf((exchange, index) => {
    if (index === 0) sendStatus(exchange, 404, 'NotFound', 'not found');
    else if (exchange.method === 'GET') sendJson(exchange, live);
    else sendJson(exchange, live, exchange.method === 'POST' ? 201 : 200);
  });
  const wanted = (mine: string) => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', namespace: 'ns' },
    data: { mine },
  });
  await client.apply(wanted('new'), CONFIG_MAPS);
  await client.apply(wanted('new'), CONFIG_MAPS);
  await client.apply(wanted('old'), CONFIG_MAPS);
  expect(server.exchanges.map(({ method }) => method)).toEqual(['GET', 'POST', 'GET', 'PATCH', 'GET']);
  expect(server.exchanges[3]?.headers['content-type']).toBe('application/merge-patch+json');
  expect(server.exchanges[3]?.body).toEqual({ data: { mine: 'new' } });
});

test('an answer that breaks off is an error that names the request', async () => {
  const { client } = await clientOf(({ response, socket }) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
    response.write('{"half":', () => socket.destroy());
  });
  await expect(client.get(CONFIG_MAPS, 'a', 'ns')).rejects.toThrow(/configmaps\/a: the answer broke off/);
});

test('a body that falls silent ends with an error that says where and for how long', async () => {
  const { client, server } = await clientOf(({ response }) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"type":"BOOKMARK"}\n');
  });
  const response = await client.stream('GET', '/api/v1/pods?watch=true&resourceVersion=7', { idleTimeoutMs: 200 });
  const read = async () => {
    for await (const _ of response);
  };
  await expect(read()).rejects.toThrow(`GET ${server.address}/api/v1/pods: nothing came for 0.2 s`);
});

test('an unreachable server is named', async () => {
  const client = new KubeClient({ server: 'https://127.0.0.1:1' });
  await expect(client.list(CONFIG_MAPS)).rejects.toThrow(
    /GET https:\/\/127\.0\.0\.1:1\/api\/v1\/configmaps.*ECONNREFUSED/,
  );
});

test('discovery: every version, the preferred one first; a failing group fails the call unless somebody takes it', async () => {
  const { client } = await clientOf((exchange) => {
    const { pathname } = exchange.url;
    const resources = (name: string, kind: string) => ({
      resources: [
        { name, kind, namespaced: true, verbs: ['get'] },
        { name: `${name}/status`, kind, namespaced: true, verbs: ['get'] },
      ],
    });
    if (pathname === '/apis') {
      const versions = [{ version: 'v1beta1' }, { version: 'v1' }];
      sendJson(exchange, {
        groups: [
          { name: 'g', versions, preferredVersion: { version: 'v1' } },
          { name: 'bad', versions: [{ version: 'v1' }] },
        ],
      });
    } else if (pathname === '/apis/bad/v1') sendStatus(exchange, 503, 'ServiceUnavailable', 'down');
    else sendJson(exchange, resources('things', 'Thing'));
  });
  await expect(client.discover()).rejects.toThrow('down');
  const failed: string[] = [];
  const found = await client.discover((group) => failed.push(group));
  expect(failed).toEqual(['/apis/bad/v1']);
  expect(found.map(({ group, version, preferred }) => `${group}/${version} ${preferred}`)).toEqual([
    '/v1 true',
    'g/v1 true',
    'g/v1beta1 false',
  ]);
});

test('TLS through a CONNECT proxy: the server is verified, the client certificate arrives, connections are kept', async () => {
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 600_000) };
  const caKey = generateKeyPair();
  const caPem = issueCertificate({
    subject: { commonName: 'test-ca' },
    publicKey: caKey.publicKey,
    selfKey: caKey.privateKey,
    isCa: true,
    ...validity,
  });
  const issue = (commonName: string, usage: 'serverAuth' | 'clientAuth') => {
    const key = generateKeyPair();
    const issuer = { certPem: caPem, key: caKey.privateKey };
    const names = usage === 'serverAuth' ? { ipAddresses: ['10.254.254.254'] } : {};
    const cert = issueCertificate({
      subject: { commonName },
      publicKey: key.publicKey,
      issuer,
      usages: [usage],
      ...names,
      ...validity,
    });
    return { cert, key: privateKeyPem(key.privateKey) };
  };
  const server = https.createServer(
    { ...issue('server', 'serverAuth'), ca: caPem, requestCert: true },
    (request, response) => {
      const peer = (request.socket as TLSSocket).getPeerCertificate().subject.CN;
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(JSON.stringify({ ...configMap('a', 1), data: { peer } }));
    },
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const asked: string[] = [];
  const proxy = http.createServer();
  // The proxy alone knows the way to 10.254.254.254.
  proxy.on('connect', (request, socket) => {
    asked.push(request.url ?? '');
    const onward = net.connect((server.address() as AddressInfo).port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      onward.pipe(socket).pipe(onward);
    });
    for (const [one, other] of [
      [socket, onward],
      [onward, socket],
    ] as const)
      one.on('error', () => other.destroy());
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => proxy.close(resolve)));
  const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  const me = issue('me', 'clientAuth');
  const config = {
    server: 'https://10.254.254.254:6443',
    proxyUrl,
    caPem,
    clientCertPem: me.cert,
    clientKeyPem: me.key,
  };

  const client = new KubeClient(config);
  cleanups.push(() => client.close());
  expect(await client.get(CONFIG_MAPS, 'a', 'ns')).toMatchObject({ data: { peer: 'me' } });
  await client.get(CONFIG_MAPS, 'a', 'ns');
  expect(asked).toEqual(['10.254.254.254:6443']);

  const stranger = new KubeClient({ ...config, server: 'https://10.254.254.253:6443' });
  cleanups.push(() => stranger.close());
  await expect(stranger.get(CONFIG_MAPS, 'a', 'ns')).rejects.toThrow(/10\.254\.254\.253/);
});
