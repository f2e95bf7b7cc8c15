// SPDX-License-Identifier: Apache-2.0
import { once } from 'node:events';
import { request } from 'node:https';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Authority } from '../identity/authority.ts';
import { makeSelfSignedCa } from '../identity/ca-material.ts';
import { admitPod } from './admission.ts';
import { DEFAULT_SETTINGS, type InjectorSettings } from './settings.ts';
import { createWebhookServer } from './webhook.ts';

const settings: InjectorSettings = { ...DEFAULT_SETTINGS, proxyImage: 'isthmus/proxyv2:1', clusterId: 'cluster1' };
let current: InjectorSettings | undefined = settings;
const ca = makeSelfSignedCa({ organization: 'test', commonName: 'root', days: 1, nowMs: Date.now() });
const authority = new Authority(ca, Date.now());
const { chainPem, keyPem } = authority.issueServer(['localhost'], 3_600_000, Date.now());
const server = createWebhookServer(
  {
    '/inject': (review) =>
      admitPod(review, {
        settings: () => current,
        delivery: () => 'FULL',
        defaults: () => ({ mesh: undefined, configs: [], rootNamespace: 'istio-system' }),
        namespaceLabels: () => undefined,
        observe: () => {},
      }),
  },
  { cert: chainPem, key: keyPem },
  { maxConnections: 30, maxConnectionsPerAddress: 10, maxPendingBytes: 500_000, maxPendingBytesPerAddress: 200_000 },
);

beforeAll(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
});

async function post(path: string, body: string, localAddress = '127.0.0.1'): Promise<{ code: number; text: string }> {
  const { port } = server.address() as AddressInfo;
  const outgoing = request({
    host: '127.0.0.1',
    localAddress,
    port,
    path,
    method: 'POST',
    ca: authority.rootPem,
    servername: 'localhost',
  });
  outgoing.end(body);
  const [response] = await once(outgoing, 'response');
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { code: response.statusCode, text };
}

function review(object: object): string {
  return JSON.stringify({
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'u1', operation: 'CREATE', namespace: 'default', object },
  });
}

const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a' }, spec: { containers: [{ name: 'a' }] } };

test('a pod gets a patch', async () => {
  const { code, text } = await post('/inject?timeout=10s', review(pod));
  const { response } = JSON.parse(text);
  expect([code, response.uid, response.allowed, response.patchType]).toEqual([200, 'u1', true, 'JSONPatch']);
  const patch = JSON.parse(Buffer.from(response.patch, 'base64').toString());
  expect(patch.map(({ path }: { path: string }) => path)).toContain('/spec/containers');
});

test('a pod that cannot work is refused with the reason', async () => {
  const taken = { ...pod, spec: { containers: [{ name: 'istio-proxy' }] } };
  const { response } = JSON.parse((await post('/inject', review(taken))).text);
  expect(response.allowed).toBe(false);
  expect(response.status.message).toContain('named istio-proxy');
});

test('before the settings are known, pods are refused rather than left without a sidecar', async () => {
  current = undefined;
  const { response } = JSON.parse((await post('/inject', review(pod))).text);
  current = settings;
  expect(response).toMatchObject({ allowed: false, status: { message: expect.stringContaining('try again') } });
});

test.each([
  ['not JSON', '/inject', '{', 400],
  ['not a review', '/inject', '{}', 400],
  ['no such webhook', '/toString', '{}', 404],
])('%s', async (_, path, body, code) => {
  expect((await post(path, body)).code).toBe(code);
});

test.each([
  ['//', 'null', 404],
  ['/inject', 'null', 400],
  ['/inject', '[]', 400],
  ['/inject', '{"kind":"AdmissionReview","request":null}', 400],
])('%s with %s from anybody ends nothing', async (path, body, code) => {
  expect((await post(path, body)).code).toBe(code);
});

test('an address that opens connections without end has its share, and the API server is served meanwhile', async () => {
  const { port } = server.address() as AddressInfo;
  const sockets = Array.from({ length: 50 }, () => connect({ host: '127.0.0.1', port, localAddress: '127.0.0.9' }));
  const closed = new Set<Socket>();
  for (const socket of sockets) socket.on('error', () => {}).on('close', () => closed.add(socket));
  await expect.poll(() => closed.size).toBe(40);
  expect((await post('/inject', review(pod))).code).toBe(200);
  for (const socket of sockets) socket.destroy();
  // The places are free again.
  await expect
    .poll(() =>
      post('/inject', review(pod), '127.0.0.9').then(
        ({ code }) => code,
        () => 0,
      ),
    )
    .toBe(200);
});

test('bodies that never end take their share of memory, and the API server’s reviews pass', async () => {
  const { port } = server.address() as AddressInfo;
  const codes: number[] = [];
  const flood = Array.from({ length: 5 }, () => {
    const options = { host: '127.0.0.1', localAddress: '127.0.0.9', port, path: '/inject', method: 'POST' };
    const outgoing = request({ ...options, ca: authority.rootPem, servername: 'localhost' });
    outgoing.on('response', (response) => codes.push(response.statusCode ?? 0));
    outgoing.on('error', () => {});
    outgoing.write('x'.repeat(90_000));
    return outgoing;
  });
  await expect.poll(() => codes).toEqual([503, 503, 503]);
  const large = review({ ...pod, metadata: { name: 'a', annotations: { note: 'x'.repeat(150_000) } } });
  expect((await post('/inject', large)).code).toBe(200);
  for (const outgoing of flood) outgoing.destroy();
  await expect
    .poll(() =>
      post('/inject', large, '127.0.0.9').then(
        ({ code }) => code,
        () => 0,
      ),
    )
    .toBe(200);
});
