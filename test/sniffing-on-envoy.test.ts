// SPDX-License-Identifier: Apache-2.0
// A port that does not say what it speaks, on real Envoys with mutual TLS between them: HTTP/1, HTTP/2, TLS of the
// application's own, bytes, and a server that speaks first, all of them on one and the same port.

import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import tls from 'node:tls';
import { create, fromBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { buildLoadAssignment } from '../src/envoy/endpoints.ts';
import { socketAddress } from '../src/envoy/messages.ts';
import { Authority } from '../src/identity/authority.ts';
import { makeSelfSignedCa } from '../src/identity/ca-material.ts';
import { spiffeId } from '../src/identity/spiffe.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { workloadFacts } from '../src/kube/workload-facts.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../src/pki/x509.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { freePort } from './fixture/ports.ts';
import { RunningEnvoy } from './scenarios/running-envoy.ts';
import { staticBootstrap } from './scenarios/static-bootstrap.ts';

const envoyPath = findEnvoy();
const SETTINGS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
/** Loopback stands for the server's network. */
const SERVER = '127.0.73.1';
const WAITS_MS = 300;

function meshOf(targetPort: number) {
  const labels = { app: 'odd', 'security.istio.io/tlsMode': 'istio' };
  const objects: KubeObject[] = [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: 'istio-system' },
      data: { mesh: `protocolDetectionTimeout: ${WAITS_MS}ms` },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'odd', namespace: 'default' },
      spec: { clusterIP: '10.96.0.1', selector: { app: 'odd' }, ports: [{ name: 'any', port: 6000, targetPort }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'odd', namespace: 'default', labels },
      spec: { serviceAccountName: 'odd', containers: [] },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'odd-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'odd' } },
      ports: [{ name: 'any', port: targetPort }],
      endpoints: [{ addresses: [SERVER], targetRef: { kind: 'Pod', name: 'odd' } }],
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'odd', namespace: 'default' },
      spec: {
        hosts: ['odd'],
        http: [
          { match: [{ uri: { prefix: '/tea' } }], directResponse: { status: 418 } },
          { route: [{ destination: { host: 'odd' } }] },
        ],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'edge', namespace: 'default' },
      spec: {
        selector: { app: 'edge' },
        servers: [
          { port: { number: 9000, name: 'tcp', protocol: 'TCP' }, hosts: ['*'] },
          { port: { number: 9001, name: 'http', protocol: 'HTTP' }, hosts: ['*'] },
        ],
      },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: 'edge', namespace: 'default' },
      spec: {
        hosts: ['*'],
        gateways: ['edge'],
        http: [{ route: [{ destination: { host: 'odd' } }] }],
        tcp: [{ match: [{ port: 9000 }], route: [{ destination: { host: 'odd' } }] }],
      },
    },
  ];
  const store = new MeshStore({ ...SETTINGS, configCluster: 'cluster1' });
  return store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'cluster1', object }))).snapshot;
}

function proxyOf(app: string, kind: MeshProxy['kind']): MeshProxy {
  return meshProxy({ id: app, kind, podName: app, ip: '127.0.0.1', labels: { app }, serviceAccount: app });
}

/** An application that tells by the first bytes what its client speaks, and speaks first if the client says nothing. */
class Polyglot {
  readonly #servers: net.Server[];
  readonly #front: net.Server;

  constructor() {
    const answer = (request: { httpVersion: string; headers: http.IncomingHttpHeaders }) =>
      `${request.httpVersion} ${request.headers['x-forwarded-client-cert'] ?? 'nobody'}`;
    const web = http.createServer((request, response) => response.end(answer(request)));
    const grpc = http2.createServer((request, response) => response.end(answer(request)));
    const { privateKey, publicKey } = generateKeyPair();
    const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
    const own = { subject: { commonName: 'own' }, publicKey, selfKey: privateKey, notBefore, notAfter };
    const secure = tls.createServer({ key: privateKeyPem(privateKey), cert: issueCertificate(own) }, (socket) => {
      socket.end(`${socket.getProtocol()} ${socket.servername}`);
    });
    const echo = net.createServer((socket) => socket.once('data', (bytes) => socket.end(`heard ${bytes}`)));
    const servers = { web, grpc: grpc as unknown as net.Server, secure, echo };
    this.#servers = Object.values(servers);
    this.#front = net.createServer((socket) => {
      const greeting = setTimeout(() => socket.end('I speak first'), 3 * WAITS_MS);
      socket.on('error', () => clearTimeout(greeting));
      socket.once('data', (first: Buffer) => {
        clearTimeout(greeting);
        const text = first.toString();
        const kind =
          first[0] === 0x16 ? 'secure' : text.startsWith('PRI') ? 'grpc' : /^[A-Z]+ \//.test(text) ? 'web' : 'echo';
        const server = net.connect((servers[kind].address() as AddressInfo).port, '127.0.0.1');
        server.on('error', () => socket.destroy());
        server.write(first);
        socket.pipe(server).pipe(socket);
      });
    });
  }

  get port(): number {
    return (this.#front.address() as AddressInfo).port;
  }

  async listen(): Promise<void> {
    for (const server of [...this.#servers, this.#front]) {
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
  }

  close(): void {
    for (const server of [...this.#servers, this.#front]) server.close();
  }
}

describe.skipIf(envoyPath === undefined)('one port, whatever is spoken there', () => {
  const app = new Polyglot();
  const envoys: RunningEnvoy[] = [];
  let port = 0;
  const edge = { bytes: 0, requests: 0 };

  beforeAll(async () => {
    await app.listen();
    const targetPort = await freePort(SERVER);
    const snapshot = meshOf(targetPort);
    const nowMs = Date.now();
    const authority = new Authority(
      makeSelfSignedCa({ organization: 'test', commonName: 'root', days: 1, nowMs }),
      nowMs,
    );
    const run = async (
      name: string,
      listenerName: string,
      address: string,
      bound: number,
      kind: MeshProxy['kind'] = 'sidecar',
    ) => {
      const { desired } = compileProxy(snapshot, proxyOf(name, kind), new CompileCache());
      const id = spiffeId({ trustDomain: 'cluster.local', namespace: 'default', serviceAccount: name });
      const facts = workloadFacts({ name, namespace: 'default' }, 'cluster1');
      const { chainPem, keyPem } = authority.issueWorkload(id, 3_600_000, nowMs, facts);
      const keys = { chain: chainPem, key: keyPem, roots: authority.rootPem };
      const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(desired, keys));
      const resources = bootstrap.staticResources!;
      const listener = resources.listeners.find((l) => l.name === listenerName)!;
      // There is no redirect here, so that the port that is dialled is the one that the chains ask for.
      Object.assign(listener, { address: socketAddress(address, bound), bindToPort: true, useOriginalDst: false });
      resources.listeners = [listener];
      resources.clusters = resources.clusters.map((cluster) => behind(cluster, targetPort));
      const envoy = await RunningEnvoy.start(envoyPath!, bootstrap);
      envoys.push(envoy);
      return (await envoy.listeners()).get(listenerName)!;
    };
    await run('odd', 'virtualInbound', SERVER, targetPort);
    port = await run('client', '10.96.0.1_6000', '127.0.0.1', 0);
    edge.bytes = await run('edge', '0.0.0.0_9000', '127.0.0.1', 0, 'gateway');
    edge.requests = await run('edge', '0.0.0.0_9001', '127.0.0.1', 0, 'gateway');
  });

  /** The application, which without a redirect is not where the client dialled. */
  function behind(cluster: Cluster, targetPort: number): Cluster {
    const { name, typedExtensionProtocolOptions } = cluster;
    if (name !== `inbound|${targetPort}||`) return cluster;
    return create(ClusterSchema, {
      name,
      clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
      loadAssignment: buildLoadAssignment(name, [
        { address: '127.0.0.1', port: app.port, weight: 1, locality: '', meshed: false },
      ]),
      typedExtensionProtocolOptions,
    });
  }

  afterAll(async () => {
    await Promise.all(envoys.map((envoy) => envoy.stop()));
    app.close();
  });

  const CALLER = 'URI=spiffe://cluster.local/ns/default/sa/client';

  async function get(path: string, host: string, at = port): Promise<string> {
    const request = http.get({ host: '127.0.0.1', port: at, path, headers: { host }, agent: false });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    let body = '';
    for await (const chunk of response) body += String(chunk);
    return `${response.statusCode} ${body}`;
  }

  /** All that comes back for these bytes. */
  async function say(bytes: string, at = port): Promise<string> {
    const socket = net.connect(at, '127.0.0.1');
    if (bytes !== '') socket.write(bytes);
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    return said;
  }

  test('HTTP/1 is HTTP/1 to the end, by the routes, under any name, and both sides know the caller', async () => {
    expect(await get('/', 'odd')).toContain('200 1.1 ');
    expect(await get('/', 'odd')).toContain(CALLER);
    expect(await get('/', 'another.name')).toContain('200 1.1 ');
    expect(await get('/tea', 'odd')).toBe('418 ');
  });

  test('HTTP/2 is HTTP/2 to the end', async () => {
    const session = http2.connect(`http://127.0.0.1:${port}`);
    try {
      const stream = session.request({ ':path': '/', ':authority': 'odd' });
      stream.setEncoding('utf8').end();
      let body = '';
      for await (const chunk of stream) body += String(chunk);
      expect(body).toMatch(/^2\.0 .*URI=spiffe:\/\/cluster\.local\/ns\/default\/sa\/client/);
    } finally {
      session.close();
    }
  });

  test('the TLS of an application goes through unopened', async () => {
    const socket = tls.connect({ host: '127.0.0.1', port, servername: 'own.example', rejectUnauthorized: false });
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    expect(said).toBe('TLSv1.3 own.example');
  });

  test('so do TLS that offers HTTP inside, and bytes that are neither', async () => {
    const options = { host: '127.0.0.1', port, servername: 'own.example', rejectUnauthorized: false };
    const socket = tls.connect({ ...options, ALPNProtocols: ['h2', 'http/1.1'] });
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    expect(said).toBe('TLSv1.3 own.example');
    expect(await say('select 1;\n')).toBe('heard select 1;\n');
  });

  test('what a gateway routes by connections is bytes there, TLS of the application too, and what it routes by requests is HTTP', async () => {
    const socket = tls.connect({
      host: '127.0.0.1',
      port: edge.bytes,
      servername: 'own.example',
      rejectUnauthorized: false,
    });
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    expect(said).toBe('TLSv1.3 own.example');
    expect(await say('select 1;\n', edge.bytes)).toBe('heard select 1;\n');
    const answer = await get('/', 'odd.example', edge.requests);
    expect(answer).toContain('200 1.1 ');
    expect(answer).toContain('URI=spiffe://cluster.local/ns/default/sa/edge');
  });

  test('a server that speaks first is heard when the time to tell is over', async () => {
    expect(await say('')).toBe('I speak first');
  });
});
