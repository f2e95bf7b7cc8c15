// SPDX-License-Identifier: Apache-2.0
// Names below a wildcard on a real Envoy: each is looked up when somebody asks for it. `localhost`, and every name below it,
// is this machine (RFC 6761, section 6.3), so that no DNS is needed.
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { LoopbackMesh } from './destination-rule/loopback-mesh.ts';
import { TestAuthority } from './fixture/test-authority.ts';

const envoy = findEnvoy();
const dir = mkdtempSync(join(tmpdir(), 'isthmus-by-name-'));

const authority = new TestAuthority();
writeFileSync(join(dir, 'ca.pem'), authority.rootPem);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const keys = authority.issue('names', {
  dnsNames: ['good.tls.localhost', 'good.pinned.localhost', 'sni.localhost'],
});
const answer: http.RequestListener = ({ headers }, response) => response.end(`served ${headers.host}`);
const plain = http.createServer(answer);
/** Server names that clients asked for. */
const greeted: string[] = [];
const secured = https.createServer(
  {
    ...keys,
    SNICallback: (name, done) => {
      greeted.push(name);
      done(null);
    },
  },
  answer,
);

const strangers = { plain: http.createServer(answer), secured: https.createServer(keys, answer) };

async function portOf(server: http.Server | https.Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

function rule(kind: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { namespace: 'default', name }, spec };
}

describe.skipIf(envoy === undefined)('names below a wildcard', () => {
  let mesh: LoopbackMesh;
  let plainPort = 0;
  let securedPort = 0;
  beforeAll(async () => {
    [plainPort, securedPort] = [await portOf(plain), await portOf(secured)];
    const byName = { resolution: 'DYNAMIC_DNS' };
    const http = { number: 80, name: 'http', protocol: 'HTTP' };
    const rules = [
      rule('ServiceEntry', 'plain', {
        ...byName,
        hosts: ['*.localhost'],
        // A request's own name says the port: what is said here makes no difference.
        ports: [
          { ...http, targetPort: 1 },
          { number: 90, name: 'tls', protocol: 'TLS', targetPort: securedPort },
        ],
      }),
      rule('ServiceEntry', 'tls', { ...byName, hosts: ['*.tls.localhost'], ports: [http] }),
      rule('DestinationRule', 'tls', {
        host: '*.tls.localhost',
        trafficPolicy: { tls: { mode: 'SIMPLE', caCertificates: join(dir, 'ca.pem') } },
      }),
    ];
    for (const [name, more] of [
      ['pinned', { caCertificates: join(dir, 'ca.pem') }],
      ['trusting', { caCertificates: join(dir, 'ca.pem'), subjectAltNames: ['sni.localhost'] }],
      ['careless', { insecureSkipVerify: true }],
    ] as const) {
      const host = `*.${name}.localhost`;
      const endpoints = [{ address: '127.0.0.1', ports: { http: securedPort } }];
      rules.push(
        rule('ServiceEntry', name, { hosts: [host], ports: [http], resolution: 'STATIC', endpoints }),
        rule('DestinationRule', name, {
          host,
          trafficPolicy: { tls: { mode: 'SIMPLE', ...more } },
        }),
      );
    }
    mesh = await LoopbackMesh.start(envoy!, [], rules, '');
  });
  afterAll(async () => {
    await mesh?.stop();
    for (const server of [plain, secured]) {
      server.closeAllConnections();
      server.close();
    }
  });
  const ask = (host: string) => mesh.get('', { headers: { host } });

  test('a request goes to the name that it is for', async () => {
    for (const name of ['a.localhost', 'b.c.localhost']) {
      const host = `${name}:${plainPort}`;
      expect(await ask(host)).toMatchObject({ status: 200, body: `served ${host}` });
    }
  });

  test('by TLS, as a rule has it, and its server has to prove that name', async () => {
    expect(await ask(`good.tls.localhost:${securedPort}`)).toMatchObject({ status: 200 });
    expect(await ask(`bad.tls.localhost:${securedPort}`)).toMatchObject({ status: 503 });
  });

  test('below a wildcard whose servers are known, too, unless the rule says what else they prove', async () => {
    expect(await ask('good.pinned.localhost')).toMatchObject({ status: 200, body: 'served good.pinned.localhost' });
    expect(await ask('bad.pinned.localhost')).toMatchObject({ status: 503 });
    expect(await ask('any.trusting.localhost')).toMatchObject({ status: 200 });
    expect(await ask('any.careless.localhost')).toMatchObject({ status: 200 });
    const asked = ['good.pinned', 'bad.pinned', 'any.trusting', 'any.careless'].map((name) => `${name}.localhost`);
    expect([...new Set(greeted)].filter((name) => asked.includes(name))).toEqual(asked);
  });

  test('TLS that is not opened goes by its server name', async () => {
    const socket = tls.connect({ socket: mesh.connectToAny(), servername: 'sni.localhost', ca: authority.rootPem });
    await once(socket, 'secureConnect');
    expect(socket.authorized).toBe(true);
    socket.write('GET / HTTP/1.1\r\nhost: sni.localhost\r\nconnection: close\r\n\r\n');
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(first.toString()).toContain('200 OK');
    socket.destroy();
  });
});

describe.skipIf(envoy === undefined)('names that no service has', () => {
  let plainPort = 0;
  let securedPort = 0;
  beforeAll(async () => {
    [plainPort, securedPort] = [await portOf(strangers.plain), await portOf(strangers.secured)];
  });
  afterAll(() => {
    for (const server of Object.values(strangers)) {
      server.closeAllConnections();
      server.close();
    }
  });
  /** Other services are on the ports, and a mesh without any has no listener there. */
  const service = rule('ServiceEntry', 'service', {
    hosts: ['service.example'],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'STATIC',
    endpoints: [{ address: '127.0.0.1' }],
  });
  const start = (policy: string) => {
    const mesh = `outboundTrafficPolicy: ${policy}`;
    const metadata = { namespace: 'istio-system', name: 'istio' };
    return LoopbackMesh.start(
      envoy!,
      [],
      [service, { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { mesh } }],
      '',
    );
  };

  test('are looked up, each when a request is for it', async () => {
    const mesh = await start('{mode: ALLOW_ANY_DYNAMIC_DNS}');
    try {
      const host = `stranger.localhost:${plainPort}`;
      expect(await mesh.get('', { headers: { host } })).toMatchObject({ status: 200, body: `served ${host}` });
      // No name under .invalid exists (RFC 6761, section 6.4).
      expect(await mesh.get('', { headers: { host: 'stranger.invalid' } })).toMatchObject({ status: 503 });
    } finally {
      await mesh.stop();
    }
  });

  test('are dialled by TLS, as the mesh has it, and have to prove who they are', async () => {
    const mesh = await start(
      `{mode: ALLOW_ANY_DYNAMIC_DNS, tls: {mode: SIMPLE, caCertificates: ${join(dir, 'ca.pem')}}}`,
    );
    try {
      const good = `good.tls.localhost:${securedPort}`;
      expect(await mesh.get('', { headers: { host: good } })).toMatchObject({ status: 200, body: `served ${good}` });
      const bad = `bad.tls.localhost:${securedPort}`;
      expect(await mesh.get('', { headers: { host: bad } })).toMatchObject({ status: 503 });
    } finally {
      await mesh.stop();
    }
  });

  test('by TLS that proves nothing, where the mesh asks for nothing', async () => {
    const mesh = await start('{mode: ALLOW_ANY_DYNAMIC_DNS, tls: {mode: SIMPLE, insecureSkipVerify: true}}');
    try {
      expect(await mesh.get('', { headers: { host: `any.localhost:${securedPort}` } })).toMatchObject({ status: 200 });
    } finally {
      await mesh.stop();
    }
  });
});
