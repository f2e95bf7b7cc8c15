// SPDX-License-Identifier: Apache-2.0
// The mesh's TLS on real Envoys, on loopback: a client's sidecar, a gateway of the other cluster, a server's sidecar, with
// the very transport sockets and filter chains that the stages make.

import { once } from 'node:events';
import http, { type Server } from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { create, fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { buildLoadAssignment } from '../src/envoy/endpoints.ts';
import { socketAddress } from '../src/envoy/messages.ts';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { freePort } from './fixture/ports.ts';
import { TestAuthority } from './fixture/test-authority.ts';
import { until } from './fixture/waiting.ts';
import { RunningEnvoy } from './scenarios/running-envoy.ts';
import { staticBootstrap, type WorkloadKeys } from './scenarios/static-bootstrap.ts';

const envoyPath = findEnvoy();

/** Loopback stands for three networks. */
const ADDRESS = { server: '127.0.71.1', gateway: '127.0.71.2' };

function newAuthority() {
  const authority = new TestAuthority();
  const issue = (account: string): WorkloadKeys => {
    const uris = [`spiffe://cluster.local/ns/default/sa/${account}`];
    const { cert: chain, key } = authority.issue(undefined, { uris, usages: ['serverAuth', 'clientAuth'] });
    return { chain, key, roots: authority.rootPem };
  };
  return { issue };
}

function kube(apiVersion: string, kind: string, namespace: string, name: string, body: object): KubeObject {
  return { apiVersion, kind, metadata: { namespace, name }, ...body };
}

function proxyOf(kind: MeshProxy['kind'], namespace: string, app: string): MeshProxy {
  return meshProxy({ id: app, kind, namespace, podName: app, ip: '127.0.0.1', labels: { app }, serviceAccount: app });
}

interface AppPorts {
  readonly http: number;
  readonly grpc: number;
  readonly tcp: number;
  /** Its application comes later than its sidecar. */
  readonly late: number;
}

function meshOf(app: AppPorts, gatewayPort: number) {
  const objects = [
    kube('v1', 'Service', 'default', 'shop', {
      spec: {
        clusterIP: '10.96.0.1',
        selector: { app: 'shop' },
        ports: [
          { name: 'http', port: 8080, targetPort: app.http },
          { name: 'grpc', port: 7070, targetPort: app.grpc },
          { name: 'tcp', port: 5432, targetPort: app.tcp },
          { name: 'http-late', port: 6060, targetPort: app.late },
        ],
      },
    }),
    {
      ...kube('v1', 'Pod', 'default', 'shop', {}),
      metadata: { namespace: 'default', name: 'shop', labels: { app: 'shop', 'security.istio.io/tlsMode': 'istio' } },
      spec: { serviceAccountName: 'shop', containers: [] },
    },
    {
      ...kube('discovery.k8s.io/v1', 'EndpointSlice', 'default', 'shop-1', {}),
      metadata: { namespace: 'default', name: 'shop-1', labels: { 'kubernetes.io/service-name': 'shop' } },
      ports: Object.entries(app).map(([name, port]) => ({ name, port })),
      endpoints: [{ addresses: [ADDRESS.server], targetRef: { kind: 'Pod', name: 'shop' } }],
    },
    kube('networking.istio.io/v1', 'DestinationRule', 'default', 'shop', {
      spec: { host: 'shop', trafficPolicy: { connectionPool: { http: { maxRetries: 1 } } } },
    }),
    kube('v1', 'Service', 'istio-system', 'edge', {
      spec: {
        clusterIP: '10.96.0.9',
        selector: { app: 'edge' },
        ports: [{ name: 'tls', port: 15443, targetPort: gatewayPort }],
      },
    }),
    kube('networking.istio.io/v1', 'ServiceEntry', 'default', 'shop-remote', {
      spec: {
        hosts: ['shop.default.global'],
        location: 'MESH_INTERNAL',
        ports: [{ number: 8080, name: 'http1', protocol: 'HTTP' }],
        resolution: 'DNS',
        addresses: ['127.255.0.9'],
        endpoints: [{ address: ADDRESS.gateway, ports: { http1: gatewayPort } }],
      },
    }),
    kube('networking.istio.io/v1', 'DestinationRule', 'default', 'shop-remote', {
      spec: { host: 'shop.default.global', trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } },
    }),
  ];
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'cluster1' });
  return store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'cluster1', object }))).snapshot;
}

describe.skipIf(envoyPath === undefined)('mutual TLS on real Envoys', () => {
  const authority = newAuthority();
  const envoys: RunningEnvoy[] = [];
  let app: Server;
  const grpcApp = http2.createServer((request, response) => {
    response.end(`${request.httpVersion} ${request.headers['x-forwarded-client-cert']}`);
  });
  /** It speaks first, as databases do. */
  const tcpApp = net.createServer((socket) => socket.end('welcome'));
  const lateApp = http.createServer((_, response) => response.end());
  let latePort: number;
  let ports: { server: number; gateway: number; client: number };
  let appPorts: AppPorts;
  let snapshot: ReturnType<typeof meshOf>;

  /** Runs a proxy's resources with the listener `name` alone, bound to a loopback address and port. */
  async function run(proxy: MeshProxy, keys: WorkloadKeys, name: string, address: string, port: number) {
    const { desired } = compileProxy(snapshot, proxy, new CompileCache());
    const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(desired, keys));
    const resources = bootstrap.staticResources!;
    const listener = resources.listeners.find((l) => l.name === name)!;
    // There is no redirect here, so that the port that is dialled is the one that the chains ask for.
    Object.assign(listener, { address: socketAddress(address, port), bindToPort: true, useOriginalDst: false });
    resources.listeners = [listener];
    resources.clusters = resources.clusters.map((c) => (c.name.startsWith('inbound|') ? behind(c) : c));
    const envoy = await RunningEnvoy.start(envoyPath!, bootstrap);
    envoys.push(envoy);
    return envoy;
  }

  /** The application, which without a redirect is not where the client dialled. */
  function behind({ name, typedExtensionProtocolOptions, circuitBreakers }: Cluster): Cluster {
    const portOf = (server: net.Server) => (server.address() as AddressInfo).port;
    const { http, grpc, tcp, late } = appPorts;
    const behindPort = { [http]: portOf(app), [grpc]: portOf(grpcApp), [tcp]: portOf(tcpApp), [late]: latePort };
    const port = behindPort[Number(name.split('|')[1])]!;
    const here = { address: '127.0.0.1', port, weight: 1, locality: '', meshed: false };
    return create(ClusterSchema, {
      name,
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
      loadAssignment: buildLoadAssignment(name, [here]),
      typedExtensionProtocolOptions,
      ...(circuitBreakers && { circuitBreakers }),
    });
  }

  function get(port: number, host: string): Promise<{ status: number; seen: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; seen: string }>();
    http
      .get({ host: '127.0.0.1', port, headers: { host }, agent: false }, (response) => {
        response.resume();
        response.on('end', () =>
          resolve({ status: response.statusCode!, seen: String(response.headers['x-seen'] ?? '') }),
        );
      })
      .on('error', reject);
    return promise;
  }

  /** What a stranger gets who speaks TLS by hand: a protocol and an answer, or an error. */
  function dial(host: string, port: number, options: tls.ConnectionOptions): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    let protocol: string | null = null;
    const socket = tls.connect({ host, port, rejectUnauthorized: false, servername: 'x', ...options }, () => {
      protocol = socket.getProtocol();
      socket.write('GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n');
    });
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    socket.on('close', () => resolve(answer === '' ? 'closed' : `${protocol} ${answer.split('\r\n')[0]}`));
    socket.setTimeout(5000, () => socket.destroy());
    return promise;
  }

  function plaintext(host: string, port: number): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = net.connect(port, host, () => socket.write('GET / HTTP/1.1\r\nhost: shop\r\n\r\n'));
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk.toString();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(`error ${error.code}`));
    socket.on('close', () => resolve(answer === '' ? 'closed' : answer));
    return promise;
  }

  beforeAll(async () => {
    app = http.createServer((request, response) => {
      response.setHeader('x-seen', request.headers['x-forwarded-client-cert'] ?? 'nobody');
      response.end();
    });
    for (const server of [app, grpcApp, tcpApp]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    const [server, grpc, tcp, late] = await Promise.all([1, 2, 3, 4].map(() => freePort(ADDRESS.server)));
    const gateway = await freePort(ADDRESS.gateway);
    latePort = await freePort();
    appPorts = { http: server!, grpc: grpc!, tcp: tcp!, late: late! };
    snapshot = meshOf(appPorts, gateway);
    await run(
      proxyOf('sidecar', 'default', 'shop'),
      authority.issue('shop'),
      'virtualInbound',
      ADDRESS.server,
      server!,
    );
    const edge = proxyOf('gateway', 'istio-system', 'edge');
    await run(edge, authority.issue('edge'), `0.0.0.0_${gateway}`, ADDRESS.gateway, gateway);
    const sidecar = proxyOf('sidecar', 'default', 'client');
    const client = await run(sidecar, authority.issue('client'), '0.0.0.0_8080', '127.0.0.1', 0);
    ports = { server: server!, gateway, client: (await client.listeners()).get('0.0.0.0_8080')! };
  });

  afterAll(async () => {
    await Promise.all(envoys.map((envoy) => envoy.stop()));
    for (const server of [app, grpcApp, tcpApp, lateApp]) server?.close();
  });

  test('a client in the mesh is let in, and the application is told who it is', async () => {
    const { status, seen } = await get(ports.client, 'shop');
    expect(status).toBe(200);
    expect(seen).toContain('URI=spiffe://cluster.local/ns/default/sa/client');
  });

  test('HTTP/2 stays HTTP/2 all the way', async () => {
    await run(
      proxyOf('sidecar', 'default', 'shop'),
      authority.issue('shop'),
      'virtualInbound',
      ADDRESS.server,
      appPorts.grpc,
    );
    const client = await run(
      proxyOf('sidecar', 'default', 'client'),
      authority.issue('client'),
      '0.0.0.0_7070',
      '127.0.0.1',
      0,
    );
    const session = http2.connect(`http://127.0.0.1:${(await client.listeners()).get('0.0.0.0_7070')}`);
    try {
      const stream = session.request({ ':path': '/shop.Cart/Get', ':authority': 'shop:7070', ':method': 'POST' });
      stream.setEncoding('utf8').end('x');
      let answer = '';
      for await (const chunk of stream) answer += String(chunk);
      expect(answer).toMatch(/^2\.0 .*URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/client/);
    } finally {
      session.close();
    }
  });

  test('TCP whose server speaks first', async () => {
    await run(
      proxyOf('sidecar', 'default', 'shop'),
      authority.issue('shop'),
      'virtualInbound',
      ADDRESS.server,
      appPorts.tcp,
    );
    const name = '10.96.0.1_5432';
    const client = await run(proxyOf('sidecar', 'default', 'client'), authority.issue('client'), name, '127.0.0.1', 0);
    const socket = net.connect((await client.listeners()).get(name)!, '127.0.0.1');
    let answer = '';
    for await (const chunk of socket) answer += String(chunk);
    expect(answer).toBe('welcome');
    expect(await plaintext(ADDRESS.server, appPorts.tcp)).toMatch(/^(closed|error ECONNRESET)$/);
  });

  test('what an application has not seen is tried until it listens, whatever its clients may try again', async () => {
    const shop = proxyOf('sidecar', 'default', 'shop');
    const envoy = await run(shop, authority.issue('shop'), 'virtualInbound', ADDRESS.server, appPorts.late);
    const { chain, key } = authority.issue('client');
    const answers = ['a', 'b', 'c', 'd'].map(() => dial(ADDRESS.server, appPorts.late, { cert: chain, key }));
    // Each has been refused once, and waits for its next attempt, or has been given up.
    await until(
      'all were refused',
      async () => {
        const stats = await envoy.admin('/stats?filter=upstream_rq_(retry|retry_overflow)$');
        return stats.split('\n').reduce((sum, line) => sum + Number(line.split(': ')[1] ?? 0), 0) >= answers.length;
      },
      undefined,
      10,
    );
    lateApp.listen(latePort, '127.0.0.1');
    expect(await Promise.all(answers)).toEqual(answers.map(() => 'TLSv1.3 HTTP/1.1 200 OK'));
  });

  test('by the gateway of the other cluster it is still the client who is seen', async () => {
    const { status, seen } = await get(ports.client, 'shop.default.global');
    expect(status).toBe(200);
    expect(seen).toContain('URI=spiffe://cluster.local/ns/default/sa/client');
  });

  test('a server that has another identity is not believed', async () => {
    const impostor = await run(
      proxyOf('sidecar', 'default', 'shop'),
      authority.issue('impostor'),
      'virtualInbound',
      '127.0.71.3',
      ports.server,
    );
    const port = ports.server;
    const moved = structuredClone([...snapshot.endpoints]).map(
      ([key, set]) => [key, set.map((e) => ({ ...e, address: '127.0.71.3' }))] as const,
    );
    const before = snapshot;
    snapshot = { ...snapshot, endpoints: new Map(moved) };
    const client = await run(
      proxyOf('sidecar', 'default', 'client'),
      authority.issue('client'),
      '0.0.0.0_8080',
      '127.0.0.1',
      0,
    );
    snapshot = before;
    expect((await get((await client.listeners()).get('0.0.0.0_8080')!, 'shop')).status).toBe(503);
    // It is there, and would have answered.
    const { chain, key } = authority.issue('client');
    expect(await dial('127.0.71.3', port, { cert: chain, key })).toBe('TLSv1.3 HTTP/1.1 200 OK');
    await impostor.stop();
  });

  test('TLS 1.3 with a certificate of the mesh; below 1.2 nothing', async () => {
    const { chain, key } = authority.issue('client');
    expect(await dial(ADDRESS.server, ports.server, { cert: chain, key })).toBe('TLSv1.3 HTTP/1.1 200 OK');
    const old = { maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    expect(await dial(ADDRESS.server, ports.server, { cert: chain, key, ...old })).toMatch(/^error/);
  });

  test('no certificate, or one of another root, is refused by the server’s sidecar', async () => {
    expect(await dial(ADDRESS.server, ports.server, {})).not.toContain('HTTP');
    const { chain, key } = newAuthority().issue('client');
    expect(await dial(ADDRESS.server, ports.server, { cert: chain, key })).not.toContain('HTTP');
    const servername = 'outbound_.8080_._.shop.default.global';
    expect(await dial(ADDRESS.gateway, ports.gateway, { servername })).not.toContain('HTTP');
  });

  test('plaintext is refused by the sidecar and by the gateway', async () => {
    expect(await plaintext(ADDRESS.server, ports.server)).toMatch(/^(closed|error ECONNRESET)$/);
    expect(await plaintext(ADDRESS.gateway, ports.gateway)).toMatch(/^(closed|error ECONNRESET)$/);
  });

  test('the gateway passes known server names on, and refuses others', async () => {
    const { chain, key } = authority.issue('client');
    const known = ['outbound_.8080_._.shop.default.global', 'outbound_.8080_._.shop.default.svc.cluster.local'];
    for (const servername of known) {
      expect(await dial(ADDRESS.gateway, ports.gateway, { cert: chain, key, servername })).toBe(
        'TLSv1.3 HTTP/1.1 200 OK',
      );
    }
    for (const servername of ['outbound_.8080_.v9_.shop.default.global', 'shop.default.global', '']) {
      expect(await dial(ADDRESS.gateway, ports.gateway, { cert: chain, key, servername })).toMatch(
        /^(closed|error ECONNRESET)$/,
      );
    }
  });
});
