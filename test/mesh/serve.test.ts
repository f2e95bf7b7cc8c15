// SPDX-License-Identifier: Apache-2.0
// `isthmus serve`: a real Envoy follows a directory of YAML.

import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type ServeOptions, serve } from '../../src/runtime/serve.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import { until } from '../fixture/waiting.ts';
import { type EnvoyProcess, httpGet, startEnvoy } from '../xds/envoy-process.ts';
import { plaintextBootstrap } from './plaintext-bootstrap.ts';

const envoyPath = findEnvoy();
const dir = mkdtempSync(join(tmpdir(), 'isthmus-serve-'));
const configDir = join(dir, 'config');
const ending = new AbortController();
const log = pino({ level: 'silent' });
let ports: { xds: number; admin: number };
let running: Promise<void>;
let envoy: EnvoyProcess | undefined;

function options(change: Partial<ServeOptions> = {}): ServeOptions {
  const common = { cluster: 'cluster1', trustDomain: 'cluster.local', dnsDomain: 'cluster.local', keys: true, log };
  return { configDir, host: '127.0.0.1', port: 0, adminPort: 0, ...common, ...change };
}

function entry(name: string, port: number): string {
  return `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${name} }
spec:
  hosts: [${name}.example.com]
  ports: [{ name: http, number: ${port}, protocol: HTTP }]
  resolution: STATIC
  location: MESH_EXTERNAL
  endpoints: [{ address: 192.0.2.1 }]
`;
}

function rule(name: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${name}.example.com]
  http: [{ match: [{ uri: { prefix: /by-rule } }], route: [{ destination: { host: ${name}.example.com } }] }]
`;
}

/** Clusters only: a removed listener shows for a while, until its connections have ended. */
const has = async (what: string) => ((await envoy?.admin('/clusters'))?.body ?? '').includes(what);

beforeAll(async () => {
  mkdirSync(configDir);
  writeFileSync(join(configDir, 'one.yaml'), entry('one', 8081));
  const listening = Promise.withResolvers<typeof ports>();
  running = serve(options({ onListening: listening.resolve }), ending.signal);
  running.catch(listening.reject);
  ports = await listening.promise;
});

afterAll(async () => {
  await envoy?.stop();
  ending.abort();
  await running;
  rmSync(dir, { recursive: true, force: true });
});

describe.skipIf(envoyPath === undefined).each([
  ['that is told what differs', 'DELTA_GRPC', 'delta'],
  ['that is told all of a type (state of the world)', 'GRPC', 'sotw'],
] as const)('a real Envoy %s', (_, apiType, variant) => {
  beforeAll(() => {
    envoy = startEnvoy(envoyPath!, dir, plaintextBootstrap(ports.xds, apiType));
  });
  afterAll(async () => {
    await envoy?.stop();
    for (const file of ['bad.yaml', 'three.yaml', 'rule.yaml']) rmSync(join(configDir, file), { force: true });
  });

  test('has what the files say', async () => {
    await until('one', () => has('outbound|8081||one.example.com'));
  });

  test('is ready, with a key of its own', async () => {
    await until('ready', async () => (await envoy?.admin('/ready'))?.status === 200);
    expect((await envoy?.admin('/certs'))?.body).toContain('spiffe://cluster.local/ns/default/sa/default');
  });

  test('follows new, changed and removed files', async () => {
    writeFileSync(join(configDir, 'two.yaml'), entry('two', 8082));
    await until('two', () => has('outbound|8082||two.example.com'));
    writeFileSync(join(configDir, 'two.yaml'), entry('two', 8083));
    await until('the other port', async () => (await has('|8083||two')) && !(await has('|8082||two')));
    rmSync(join(configDir, 'two.yaml'));
    await until('no two', async () => !(await has('two.example.com')));
  });

  test('follows a rule', async () => {
    const routes = async () =>
      (await envoy?.admin('/config_dump?resource=dynamic_route_configs'))?.body.includes('/by-rule') === true;
    writeFileSync(join(configDir, 'rule.yaml'), rule('one'));
    await until('the route', routes);
    rmSync(join(configDir, 'rule.yaml'));
    await until('no such route', async () => !(await routes()));
  });

  test('a broken object is left out, with file and line, and everything else goes on', async () => {
    writeFileSync(join(configDir, 'bad.yaml'), entry('bad', 8084).replace('resolution: STATIC', 'resolution: MAGIC'));
    writeFileSync(join(configDir, 'three.yaml'), entry('three', 8085));
    await until('three', () => has('outbound|8085||three.example.com'));
    const diagnostics = JSON.parse((await httpGet({ port: ports.admin, path: '/debug/diagnostics' })).body);
    expect(diagnostics).toMatchObject([
      { object: { kind: 'ServiceEntry', name: 'bad' }, field: 'spec.resolution', line: 8 },
    ]);
    expect(await has('bad.example.com')).toBe(false);
  });

  test('shows who is connected, and that nothing was refused', async () => {
    const proxies = JSON.parse((await httpGet({ port: ports.admin, path: '/debug/proxies' })).body);
    const node = { id: expect.stringContaining('client.default') };
    const types = Array.from({ length: 5 }, () => expect.objectContaining({ rejected: {} }));
    expect(proxies).toMatchObject([{ service: 'ads', variant, node, types }]);
  });
});

test.each(['0.0.0.0', '10.0.0.1', '::', '::ffff:127.0.0.1', '127.evil.example'])(
  'plaintext is not served on %s',
  async (host) => {
    await expect(serve(options({ host }), ending.signal)).rejects.toThrow('not a loopback address');
  },
);

test('a port that is taken is said to be', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as { port: number };
  await expect(serve(options({ port }), ending.signal)).rejects.toThrow('EADDRINUSE');
  other.close();
});
