// SPDX-License-Identifier: Apache-2.0
// Endpoints that are Unix domain sockets, on a real Envoy: a file, and a name in Linux' abstract namespace.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { LoopbackMesh } from './destination-rule/loopback-mesh.ts';

const envoy = findEnvoy();

describe.skipIf(envoy === undefined)('an endpoint that is a socket', () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-sockets-'));
  const file = join(dir, 'cache.sock');
  const name = `isthmus-${process.pid}`;
  const web = http.createServer((request, response) => response.end(`served ${request.headers.host}`));
  const cache = net.createServer((socket) => socket.end('welcome'));
  let mesh: LoopbackMesh;

  beforeAll(async () => {
    web.listen(`\0${name}`);
    cache.listen(file);
    await Promise.all([once(web, 'listening'), once(cache, 'listening')]);
    const rules = [
      entry('agent', { number: 80, name: 'http', protocol: 'HTTP' }, `unix://@${name}`),
      entry('cache', { number: 90, name: 'tcp', protocol: 'TCP' }, `unix://${file}`),
    ];
    mesh = await LoopbackMesh.start(envoy!, [], rules, '');
  });
  afterAll(async () => {
    await mesh?.stop();
    web.closeAllConnections();
    for (const server of [web, cache]) server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('by a name takes requests', async () => {
    expect(await mesh.get('agent.local')).toMatchObject({ status: 200, body: 'served agent.local' });
  });

  test('by a file takes bytes', async () => {
    let said = '';
    for await (const chunk of mesh.connectToAny()) said += String(chunk);
    expect(said).toBe('welcome');
  });
});

function entry(name: string, port: object, address: string): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { namespace: 'default', name, labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' } },
    spec: { hosts: [`${name}.local`], ports: [port], resolution: 'STATIC', endpoints: [{ address }] },
  };
}
