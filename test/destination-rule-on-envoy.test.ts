// SPDX-License-Identifier: Apache-2.0
// What DestinationRules make a real Envoy do that no single call shows: which endpoint is chosen again and again, what
// becomes of too many requests, and what a server sees of a connection.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { type Answer, LoopbackMesh, type Pod } from './destination-rule/loopback-mesh.ts';
import { TestAuthority } from './fixture/test-authority.ts';

const envoy = findEnvoy();
const dir = mkdtempSync(join(tmpdir(), 'isthmus-dr-'));

function rule(host: string, trafficPolicy: object): KubeObject {
  const metadata = { namespace: 'default', name: host };
  return { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata, spec: { host, trafficPolicy } };
}

/** Answers with its own name, or as `sick` says. */
function named(service: string, name: string, locality?: string): Pod & { sick: number | undefined } {
  const pod = {
    service,
    ...(locality !== undefined && { locality }),
    sick: undefined as number | undefined,
    server: http.createServer((_, response) => {
      response.statusCode = pod.sick ?? 200;
      response.end(name);
    }),
  };
  return pod;
}

const hashed = ['by-header', 'by-query', 'by-source', 'by-cookie'].flatMap((service) =>
  ['a', 'b', 'c', 'd'].map((name) => named(service, name)),
);
const near = named('failing', 'near', 'eu/west');
const next = named('failing', 'next', 'eu/east');
const far = named('failing', 'far', 'us/a');
const shared = ['eu/west', 'eu/east', 'us/a'].map((locality) => named('shared', locality, locality));
const well = named('ejecting', 'well');
const ill = named('ejecting', 'ill');
const calm = named('choosy', 'calm');
const busy = named('choosy', 'busy');

const held: http.ServerResponse[] = [];
const limited = http.createServer((_, response) => held.push(response));

/** What came first on a connection. */
const heard = new Map<string, Buffer>();
function listening(service: string): Pod {
  const server = net.createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (first) => {
      heard.set(service, first as Buffer);
      socket.end('heard');
    });
  });
  return { service, server };
}

const asked: string[] = [];
const proxy = http.createServer();
proxy.on('connect', (request, socket: net.Socket) => {
  asked.push(`${request.method} ${request.url}`);
  socket.on('error', () => {});
  socket.write('HTTP/1.1 200 OK\r\n\r\n');
  socket.once('data', (data) => socket.end(`through: ${data}`));
});

const upgraded = http2.createServer((request, response) => {
  response.end(`HTTP/${request.httpVersion}`);
});
const kept = http.createServer((request, response) => response.end(`HTTP/${request.httpVersion}`));

/** Of both sides. */
const authority = new TestAuthority();
const issue = (commonName: string, dnsNames: string[]) =>
  authority.issue(commonName, { dnsNames, usages: ['serverAuth', 'clientAuth'] });
const client = issue('client', ['client.example']);
const bank = issue('bank', ['bank.example']);
for (const [name, text] of Object.entries({
  'ca.pem': authority.rootPem,
  'client.pem': client.cert,
  'client.key': client.key,
})) {
  writeFileSync(join(dir, name), text);
}

/** Says who the client is, by its certificate. */
function guarded(requestCert: boolean): net.Server {
  const options = { ...bank, ca: authority.rootPem, requestCert, rejectUnauthorized: requestCert };
  const server = tls.createServer(options, (socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      const body = String(socket.getPeerCertificate().subject?.CN ?? 'nobody');
      socket.end(`HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`);
    });
  });
  server.on('tlsClientError', () => {});
  return server as unknown as net.Server;
}

const OWN_TLS = { caCertificates: join(dir, 'ca.pem'), subjectAltNames: ['bank.example'] };
const MUTUAL = { mode: 'MUTUAL', clientCertificate: join(dir, 'client.pem'), privateKey: join(dir, 'client.key') };
const SENSITIVE = { consecutive5xxErrors: 1, baseEjectionTime: '300s', maxEjectionPercent: 100 };
const RULES = [
  rule('by-header', { loadBalancer: { consistentHash: { httpHeaderName: 'x-user' } } }),
  rule('by-query', { loadBalancer: { consistentHash: { httpQueryParameterName: 'q', maglev: { tableSize: 251 } } } }),
  rule('by-source', { loadBalancer: { consistentHash: { useSourceIp: true } } }),
  rule('by-cookie', { loadBalancer: { consistentHash: { httpCookie: { name: 'cart', path: '/shop', ttl: '90s' } } } }),
  rule('failing', { outlierDetection: SENSITIVE }),
  rule('shared', {
    loadBalancer: { localityLbSetting: { distribute: [{ from: 'eu/*', to: { 'eu/west': 70, 'us/*': 30 } }] } },
  }),
  rule('ejecting', { outlierDetection: SENSITIVE, loadBalancer: { simple: 'ROUND_ROBIN' } }),
  rule('choosy', {
    outlierDetection: { ...SENSITIVE, outlierDetectionHttpErrorCodes: [418, 429] },
    loadBalancer: { simple: 'ROUND_ROBIN' },
  }),
  rule('limited', { connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } } }),
  rule('proxy-v1', { proxyProtocol: { version: 'V1' } }),
  rule('proxy-v2', { proxyProtocol: { version: 'V2' } }),
  rule('tunnel', { tunnel: { targetHost: 'db.example', targetPort: 5432 } }),
  rule('upgraded', { connectionPool: { http: { h2UpgradePolicy: 'UPGRADE' } } }),
  rule('kept', { connectionPool: { http: { useClientProtocol: true } } }),
  rule('mutual', { tls: { ...MUTUAL, ...OWN_TLS } }),
  rule('simple', { tls: { mode: 'SIMPLE', ...OWN_TLS } }),
  rule('wrong-name', { tls: { mode: 'SIMPLE', ...OWN_TLS, subjectAltNames: ['other.example'] } }),
  rule('trusting', { tls: { mode: 'SIMPLE', insecureSkipVerify: true } }),
];

describe.skipIf(envoy === undefined)('DestinationRules on a real Envoy', () => {
  let mesh: LoopbackMesh;
  const pods: Pod[] = [
    ...hashed,
    near,
    next,
    far,
    ...shared,
    well,
    ill,
    calm,
    busy,
    { service: 'limited', server: limited },
    listening('proxy-v1'),
    listening('proxy-v2'),
    { service: 'tunnel', server: proxy },
    { service: 'upgraded', server: upgraded as unknown as net.Server },
    { service: 'kept', server: kept },
    { service: 'mutual', server: guarded(true) },
    ...['simple', 'wrong-name', 'trusting'].map((service) => ({ service, server: guarded(false) })),
  ];

  beforeAll(async () => {
    mesh = await LoopbackMesh.start(envoy!, pods, RULES, 'eu/west');
  });
  afterAll(async () => {
    await mesh?.stop();
    for (const { server } of pods) {
      if (server instanceof http.Server) server.closeAllConnections();
      server.close();
    }
    rmSync(dir, { recursive: true, force: true });
  });

  /** Asks with each of many keys, several times over: the same key must always lead to the same pod, and not all to one. */
  async function expectSticky(ask: (key: string) => Promise<Answer>): Promise<void> {
    const keys = Array.from({ length: 24 }, (_, i) => `key-${i}`);
    const reached = new Set<string>();
    for (const key of keys) {
      const answers = [await ask(key), await ask(key), await ask(key)].map(({ body }) => body);
      expect(new Set(answers).size, `${key} led to ${answers}`).toBe(1);
      reached.add(answers[0]!);
    }
    // 24 keys on one of four pods: once in 4^23.
    expect(reached.size).toBeGreaterThan(1);
  }

  test('one value of a header, one pod', () =>
    expectSticky((key) => mesh.get('by-header', { headers: { 'x-user': key } })));

  test('one value of a query parameter, one pod', () =>
    expectSticky((key) => mesh.get('by-query', { path: `/?q=${key}` })));

  test('one address of a client, one pod', () =>
    expectSticky((key) => mesh.get('by-source', { from: `127.0.9.${Number(key.slice(4)) + 1}` })));

  test('a cookie is set for as long as the rule says, and leads back to the pod', async () => {
    await expectSticky(async (key) => {
      const first = await mesh.get('by-cookie', { headers: { cookie: `cart=${key}` } });
      expect(first.headers['set-cookie']).toBeUndefined();
      return first;
    });
    const first = await mesh.get('by-cookie');
    const [cookie = ''] = first.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^cart="[^"]+"; Max-Age=90; Path=\/shop; HttpOnly$/);
    const headers = { cookie: cookie.split(';')[0]! };
    for (let i = 0; i < 5; i++) expect((await mesh.get('by-cookie', { headers })).body).toBe(first.body);
  });

  test('the nearest endpoint serves; the next nearest takes over from one that fails', async () => {
    const served = async (): Promise<string> => {
      // An ejection is decided on another thread than the one that serves.
      let answer = await mesh.get('failing');
      while (answer.status !== 200) answer = await mesh.get('failing');
      const bodies = new Set([answer.body]);
      for (let i = 0; i < 20; i++) bodies.add((await mesh.get('failing')).body);
      return [...bodies].join();
    };
    expect(await served()).toBe('near');
    near.sick = 503;
    expect((await mesh.get('failing')).status).toBe(503);
    expect(await served()).toBe('next');
    next.sick = 503;
    expect((await mesh.get('failing')).status).toBe(503);
    expect(await served()).toBe('far');
  });

  test('localities get the shares that a rule gives them, and others nothing', async () => {
    const counts = new Map<string, number>();
    const total = 600;
    for (let i = 0; i < total; i++) {
      const { body } = await mesh.get('shared');
      counts.set(body, (counts.get(body) ?? 0) + 1);
    }
    expect([...counts.keys()].sort()).toEqual(['eu/west', 'us/a']);
    // Six standard deviations (11.2 requests) each way: missed by chance once in 10^8.
    expect(counts.get('us/a')).toBeGreaterThan(total * 0.3 - 68);
    expect(counts.get('us/a')).toBeLessThan(total * 0.3 + 68);
  });

  test('a pod that fails is left alone', async () => {
    ill.sick = 500;
    while ((await mesh.get('ejecting')).status === 200);
    // The ejection is decided on another thread; the two take turns, so several answers of one are none of the other.
    for (let inARow = 0; inARow < 4; ) inARow = (await mesh.get('ejecting')).status === 200 ? inARow + 1 : 0;
    for (let i = 0; i < 12; i++) expect(await mesh.get('ejecting')).toMatchObject({ status: 200, body: 'well' });
  });

  test('answers that a rule calls failures eject an endpoint, and no others do', async () => {
    busy.sick = 500;
    const answers: number[] = [];
    for (let i = 0; i < 20; i++) answers.push((await mesh.get('choosy')).status);
    expect(answers.filter((status) => status === 500).length).toBeGreaterThan(6);
    busy.sick = 429;
    for (let inARow = 0; inARow < 4; ) inARow = (await mesh.get('choosy')).status === 200 ? inARow + 1 : 0;
    for (let i = 0; i < 12; i++) expect(await mesh.get('choosy')).toMatchObject({ status: 200, body: 'calm' });
  });

  test('requests beyond the pool are answered at once', async () => {
    const calls = [mesh.get('limited'), mesh.get('limited'), mesh.get('limited')];
    const first = await Promise.race(calls);
    expect(first.status).toBe(503);
    expect(first.headers['x-envoy-overloaded']).toBe('true');
    // The two others are there: one has the connection, one waits for it.
    while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    held.shift()!.end('one');
    while (held.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    held.shift()!.end('two');
    expect((await Promise.all(calls)).map(({ status }) => status).sort()).toEqual([200, 200, 503]);
  });

  test('the PROXY protocol tells the server who the client is, as text and in binary', async () => {
    for (const service of ['proxy-v1', 'proxy-v2']) {
      const socket = mesh.connect(service, '127.0.7.7');
      socket.write('hello');
      await once(socket, 'data');
      socket.destroy();
    }
    expect(heard.get('proxy-v1')!.toString()).toMatch(/^PROXY TCP4 127\.0\.7\.7 127\.0\.0\.1 \d+ \d+\r\n/);
    const binary = heard.get('proxy-v2')!;
    expect(binary.subarray(0, 12).toString('hex')).toBe('0d0a0d0a000d0a515549540a');
    expect([...binary.subarray(16, 20)]).toEqual([127, 0, 7, 7]);
  });

  test('TCP goes through a tunnel that an HTTP proxy is asked for', async () => {
    const socket = mesh.connect('tunnel');
    socket.write('ping');
    const [answer] = (await once(socket, 'data')) as [Buffer];
    socket.destroy();
    expect(answer.toString()).toBe('through: ping');
    expect(asked).toEqual(['CONNECT db.example:5432']);
  });

  test('a client of HTTP/1.1 is heard by HTTP/2 where the rule says so, and as it is where it says that', async () => {
    expect((await mesh.get('upgraded')).body).toBe('HTTP/2.0');
    expect((await mesh.get('kept')).body).toBe('HTTP/1.1');
  });

  test('TLS with files: the server knows the client by its certificate, the client the server by its name', async () => {
    expect(await mesh.get('mutual')).toMatchObject({ status: 200, body: 'client' });
    expect(await mesh.get('simple')).toMatchObject({ status: 200, body: 'nobody' });
    expect((await mesh.get('wrong-name')).status).toBe(503);
    expect(await mesh.get('trusting')).toMatchObject({ status: 200, body: 'nobody' });
  });
});
