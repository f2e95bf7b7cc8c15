// SPDX-License-Identifier: Apache-2.0
// What real proxies make of headers by the mesh's `proxyHeaders`, and of the address that a load balancer tells a gateway.
import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { socketAddress } from '../src/envoy/messages.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { untilTestEnds } from './fixture/until-test-ends.ts';
import { RunningEnvoy } from './scenarios/running-envoy.ts';
import { staticBootstrap } from './scenarios/static-bootstrap.ts';
import { collectorObjects, SidecarPair } from './telemetry/sidecar-pair.ts';

const envoyPath = findEnvoy();
const headers = { 'X-Written-So': 'yes', 'X-Forwarded-Client-Cert': 'Subject=forged' };

describe.skipIf(envoyPath === undefined)('between sidecars', () => {
  test('names of headers are small letters, and the application is told who asks', async () => {
    const pair = await untilTestEnds(SidecarPair.start(envoyPath!));
    await pair.request('/', headers);
    expect(pair.written[0]).toContain('x-written-so');
    expect(pair.asked[0]!['x-forwarded-client-cert']).toMatch(/URI=spiffe:\/\/cluster.local\/ns\/default\/sa\/client/);
  });

  test('names stay as they are written, and nobody is told who asks, where the mesh says so', async () => {
    const pair = await untilTestEnds(
      SidecarPair.start(envoyPath!, {
        mesh: 'defaultConfig: {proxyHeaders: {preserveHttp1HeaderCase: true, forwardedClientCert: SANITIZE}}',
      }),
    );
    expect(pair.diagnostics).toEqual([]);
    await pair.request('/', headers);
    expect(pair.written[0]).toContain('X-Written-So');
    expect(pair.asked[0]).not.toHaveProperty('x-forwarded-client-cert');
  });
});

describe.skipIf(envoyPath === undefined)('where load balancers speak the PROXY protocol', () => {
  const asked: http.IncomingHttpHeaders[] = [];
  const app = http.createServer((request, response) => {
    asked.push(request.headers);
    response.end('hello');
  });
  const envoys: RunningEnvoy[] = [];
  const FROM = 'PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n';

  beforeAll(async () => {
    app.listen(0, '127.0.0.1');
    await once(app, 'listening');
  });
  afterAll(async () => {
    await Promise.all(envoys.map((envoy) => envoy.stop()));
    app.close();
  });

  /** The port of a gateway with the label `istio`. */
  async function gateway(istio: string): Promise<number> {
    const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
    const store = new MeshStore({ ...settings, configCluster: 'cluster1' });
    const objects = gatewayObjects((app.address() as AddressInfo).port, istio);
    const { snapshot, diagnostics } = store.apply(
      objects.map((object) => ({ kind: 'upsert', cluster: 'cluster1', object })),
    );
    expect(diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
    const proxy = meshProxy({ kind: 'gateway', namespace: 'istio-system', labels: { istio } });
    const { desired } = compileProxy(snapshot, proxy, new CompileCache());
    const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(desired));
    const [listener, ...others] = bootstrap.staticResources!.listeners.filter(({ name }) => name.endsWith('_8080'));
    expect(others).toEqual([]);
    listener!.address = socketAddress('127.0.0.1', 0);
    bootstrap.staticResources!.listeners = [listener!];
    const envoy = await RunningEnvoy.start(envoyPath!, bootstrap);
    envoys.push(envoy);
    const [port] = [...(await envoy.listeners()).values()] as [number];
    return port;
  }

  test('a gateway behind one believes it who connects, and takes no connection of which that is not said', async () => {
    const port = await gateway('ingressgateway');
    expect(await said(port, FROM)).toMatch(/^HTTP\/1.1 200/);
    expect(asked.pop()!['x-forwarded-for']).toBe('203.0.113.7');
    expect(await said(port, '')).toBe('');
    expect(asked).toEqual([]);
  });

  test('an egress gateway serves sidecars, which send no such header, and believes nobody who sends one', async () => {
    const port = await gateway('egressgateway');
    expect(await said(port, '')).toMatch(/^HTTP\/1.1 200/);
    expect(asked.pop()!['x-forwarded-for']).not.toBe('203.0.113.7');
    expect(await said(port, FROM)).toMatch(/^HTTP\/1.1 400/);
    expect(asked).toEqual([]);
  });
});

/** What comes back for a request behind these first bytes. */
async function said(port: number, first: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  socket.write(`${first}GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n`);
  let answer = '';
  try {
    for await (const chunk of socket) answer += String(chunk);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET') throw error;
  }
  return answer;
}

function gatewayObjects(appPort: number, istio: string): KubeObject[] {
  const metadata = { name: 'edge', namespace: 'istio-system' };
  const host = 'shop.observability.svc.cluster.local';
  const server = { port: { number: 8080, name: 'http', protocol: 'HTTP' }, hosts: ['*'] };
  const route = { destination: { host, port: { number: 80 } } };
  return [
    ...collectorObjects('shop', 80, appPort, 'http'),
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: 'defaultConfig: {gatewayTopology: {proxyProtocol: {}}}' },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata,
      spec: { selector: { istio }, servers: [server] },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata,
      spec: { hosts: ['*'], gateways: ['edge'], http: [{ route: [route] }] },
    },
  ];
}
