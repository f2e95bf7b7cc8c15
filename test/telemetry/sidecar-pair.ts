// SPDX-License-Identifier: Apache-2.0
// Two real Envoys with what the stages make for them, on loopback: the sidecar of `client`, version v1, calls that of `shop`,
// version v2, by mutual TLS. What their bootstraps and environments have in a pod, they have here.

import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { create, fromBinary } from '@bufbuild/protobuf';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { type Cluster, Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { Diagnostic } from '../../src/api/diagnostics.ts';
import { clusterName } from '../../src/api/names.ts';
import { buildLoadAssignment } from '../../src/envoy/endpoints.ts';
import { socketAddress } from '../../src/envoy/messages.ts';
import { Authority } from '../../src/identity/authority.ts';
import { makeSelfSignedCa } from '../../src/identity/ca-material.ts';
import { spiffeId } from '../../src/identity/spiffe.ts';
import { buildBootstrap } from '../../src/injector/bootstrap.ts';
import type { KubeObject, ObjectMeta } from '../../src/kube/types.ts';
import { workloadFacts } from '../../src/kube/workload-facts.ts';
import type { MeshProxy } from '../../src/model/proxy.ts';
import { MeshStore } from '../../src/model/store.ts';
import { CompileCache, compileProxy } from '../../src/pipeline.ts';
import { PROXY_ENVIRONMENT } from '../../src/xds/proxy-environment.ts';
import { meshProxy } from '../fixture/mesh-proxy.ts';
import { freePort } from '../fixture/ports.ts';
import { RunningEnvoy } from '../scenarios/running-envoy.ts';
import { staticBootstrap, type WorkloadKeys } from '../scenarios/static-bootstrap.ts';

const CLUSTER = 'cluster1';
const SETTINGS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
/** Loopback stands for the server's network. */
const SERVER = '127.0.72.1';

export interface PairOptions {
  /** YAML of the mesh's settings. */
  readonly mesh?: string;
  /** Mesh objects and Services that are there besides. */
  readonly objects?: readonly KubeObject[];
  /** Where the bootstraps send metrics by OTLP. */
  readonly otlpMetrics?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
}

export class SidecarPair {
  readonly client: RunningEnvoy;
  readonly server: RunningEnvoy;
  readonly diagnostics: readonly Diagnostic[];
  /** Headers of the requests that the application has seen. */
  readonly asked: readonly http.IncomingHttpHeaders[];
  /** The same as they are written: names and values by turns. */
  readonly written: readonly (readonly string[])[];
  readonly #ports: ReadonlyMap<string, number>;
  readonly #apps: readonly (http.Server | net.Server)[];

  private constructor(parts: {
    client: RunningEnvoy;
    server: RunningEnvoy;
    ports: ReadonlyMap<string, number>;
    diagnostics: readonly Diagnostic[];
    asked: readonly http.IncomingHttpHeaders[];
    written: readonly (readonly string[])[];
    apps: readonly (http.Server | net.Server)[];
  }) {
    this.client = parts.client;
    this.server = parts.server;
    this.diagnostics = parts.diagnostics;
    this.asked = parts.asked;
    this.written = parts.written;
    this.#ports = parts.ports;
    this.#apps = parts.apps;
  }

  static async start(envoyPath: string, options: PairOptions = {}): Promise<SidecarPair> {
    const asked: http.IncomingHttpHeaders[] = [];
    const written: string[][] = [];
    const web = http.createServer((request, response) => {
      asked.push(request.headers);
      written.push(request.rawHeaders);
      response.statusCode = Number(request.headers['x-want-status'] ?? 200);
      request.resume().on('end', () => response.end('hello'));
    });
    const database = net.createServer((socket) => socket.end('welcome'));
    for (const app of [web, database]) {
      app.listen(0, '127.0.0.1');
      await once(app, 'listening');
    }
    const [httpPort, tcpPort] = [await freePort(SERVER), await freePort(SERVER)];
    const behind = new Map([
      [`inbound|${httpPort}||`, (web.address() as AddressInfo).port],
      [`inbound|${tcpPort}||`, (database.address() as AddressInfo).port],
    ]);
    const store = new MeshStore({ ...SETTINGS, configCluster: CLUSTER });
    const objects = [...meshObjects({ http: httpPort, tcp: tcpPort }, options.mesh), ...(options.objects ?? [])];
    const { snapshot, diagnostics } = store.apply(
      objects.map((object) => ({ kind: 'upsert', cluster: CLUSTER, object })),
    );
    const authority = newAuthority();
    const run = (meta: ObjectMeta, listeners: readonly Bound[]) => {
      const { desired } = compileProxy(snapshot, proxyOf(meta), new CompileCache());
      const bootstrap = fromBinary(BootstrapSchema, staticBootstrap(desired, keysOf(authority, meta)));
      const resources = bootstrap.staticResources!;
      resources.listeners = listeners.map(({ name, address, port }) => {
        const listener = resources.listeners.find((each) => each.name === name)!;
        // There is no redirect here, so that the port that is dialled is the one that the chains ask for.
        const bound = { address: socketAddress(address, port), bindToPort: true, useOriginalDst: false };
        return { ...listener, ...bound, name: `${name} ${port}` };
      });
      resources.clusters = resources.clusters.map((cluster) => local(cluster, behind));
      bootstrap.node!.cluster = `${workloadFacts(meta, CLUSTER).service}.default`;
      return RunningEnvoy.start(envoyPath, bootstrap, {
        environment: environmentOf(meta),
        also: ofEveryPod(options.otlpMetrics),
      });
    };
    const server = await run(POD.shop, [
      { name: 'virtualInbound', address: SERVER, port: httpPort },
      { name: 'virtualInbound', address: SERVER, port: tcpPort },
    ]);
    const client = await run(POD.client, [
      { name: '0.0.0.0_8080', address: '127.0.0.1', port: 0 },
      { name: '10.96.0.1_5432', address: '127.0.0.1', port: 0 },
    ]);
    const ports = await client.listeners();
    return new SidecarPair({ client, server, ports, diagnostics, asked, written, apps: [web, database] });
  }

  /** A request to `shop`, as the client's application makes it. */
  request(path = '/', headers: Readonly<Record<string, string>> = {}, body = ''): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const port = this.#ports.get('0.0.0.0_8080 0');
    const method = body === '' ? 'GET' : 'POST';
    http
      .request(
        { host: '127.0.0.1', port, path, method, headers: { host: 'shop', ...headers }, agent: false },
        (response) => {
          response.resume();
          response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers }));
        },
      )
      .on('error', reject)
      .end(body);
    return promise;
  }

  /** A connection to the database of `shop`; what it says. */
  async connect(): Promise<string> {
    const socket = net.connect(this.#ports.get('10.96.0.1_5432 0')!, '127.0.0.1');
    let said = '';
    for await (const chunk of socket) said += String(chunk);
    return said;
  }

  async stop(): Promise<void> {
    await Promise.all([this.client.stop(), this.server.stop()]);
    for (const app of this.#apps) app.close();
  }
}

interface Bound {
  readonly name: string;
  readonly address: string;
  readonly port: number;
}

const POD = {
  client: podMeta('client', 'v1'),
  shop: podMeta('shop', 'v2'),
};

function podMeta(app: string, version: string): ObjectMeta {
  const owner = {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: `${app}-${version}-5d4f`,
    uid: 'u',
    controller: true,
  };
  return {
    name: `${app}-${version}-5d4f-x7`,
    namespace: 'default',
    labels: { app, version, 'pod-template-hash': '5d4f', 'security.istio.io/tlsMode': 'istio' },
    ownerReferences: [owner],
  };
}

function meshObjects(ports: { readonly http: number; readonly tcp: number }, mesh = ''): KubeObject[] {
  const name = POD.shop.name!;
  const slice = { name: 'shop-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'shop' } };
  return [
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'istio', namespace: SETTINGS.rootNamespace },
      data: { mesh },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'shop', namespace: 'default' },
      spec: {
        clusterIP: '10.96.0.1',
        selector: { app: 'shop' },
        ports: [
          { name: 'http', port: 8080, targetPort: ports.http },
          { name: 'tcp', port: 5432, targetPort: ports.tcp },
        ],
      },
    },
    { apiVersion: 'v1', kind: 'Pod', metadata: POD.shop, spec: { serviceAccountName: 'shop', containers: [] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: slice,
      ports: Object.entries(ports).map(([port, number]) => ({ name: port, port: number })),
      endpoints: [{ addresses: [SERVER], targetRef: { kind: 'Pod', name } }],
    },
  ];
}

/** A service of the mesh without a sidecar, in namespace observability: what takes telemetry. */
export function collectorObjects(
  name: string,
  number: number,
  endpointPort: number,
  appProtocol: string,
): KubeObject[] {
  const metadata = { name, namespace: 'observability' };
  const labels = { 'kubernetes.io/service-name': name };
  const port = { name: 'otlp', appProtocol, port: number };
  return [
    { apiVersion: 'v1', kind: 'Service', metadata, spec: { clusterIP: '10.96.9.9', selector: {}, ports: [port] } },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...metadata, labels },
      ports: [{ name: 'otlp', port: endpointPort }],
      endpoints: [{ addresses: ['127.0.0.1'] }],
    },
  ];
}

function proxyOf({ name = '', namespace = '', labels = {} }: ObjectMeta): MeshProxy {
  return meshProxy({
    id: name,
    cluster: clusterName(CLUSTER),
    namespace,
    podName: name,
    ip: '127.0.0.1',
    labels,
    serviceAccount: labels['app'] ?? '',
  });
}

function newAuthority(): Authority {
  const nowMs = Date.now();
  return new Authority(makeSelfSignedCa({ organization: 'test', commonName: 'root', days: 1, nowMs }), nowMs);
}

function keysOf(authority: Authority, meta: ObjectMeta): WorkloadKeys {
  const facts = workloadFacts(meta, CLUSTER);
  const id = spiffeId({ trustDomain: 'cluster.local', namespace: facts.namespace, serviceAccount: facts.app });
  const { chainPem, keyPem } = authority.issueWorkload(id, 3_600_000, Date.now(), facts);
  return { chain: chainPem, key: keyPem, roots: authority.rootPem };
}

function environmentOf(meta: ObjectMeta): Record<string, string> {
  const facts = workloadFacts(meta, CLUSTER);
  const own = Object.entries(PROXY_ENVIRONMENT).map(([fact, name]) => [name, facts[fact as keyof typeof facts]]);
  const service = `${facts.service}.default`;
  return { ...Object.fromEntries(own), OTEL_RESOURCE_ATTRIBUTES: `service.name=${service}`, DD_SERVICE: service };
}

/** Of the bootstrap that pods have: what concerns telemetry. */
function ofEveryPod(otlpMetrics: string | undefined): string {
  const endpoint = { address: 'a:1', rootCertPath: '/r', tokenPath: '/t' };
  const bootstrap = buildBootstrap({
    kind: 'sidecar',
    podName: 'p',
    podIp: '127.0.0.1',
    namespace: 'default',
    serviceAccount: 'a',
    clusterId: CLUSTER,
    network: '',
    dnsDomain: 'cluster.local',
    ads: endpoint,
    adminPipe: '/a',
    excludeOutboundBy: 'uid',
    ...(otlpMetrics !== undefined && { otlpMetrics }),
  });
  const { bootstrap_extensions, stats_eviction_interval, stats_sinks, static_resources } = bootstrap;
  const { clusters } = static_resources as { clusters: { name: string }[] };
  // By default histograms are complete, and spans are sent, every five seconds.
  const flush = { 'tracing.zipkin.flush_interval_ms': 100, 'tracing.opentelemetry.flush_interval_ms': 100 };
  const layered_runtime = { layers: [{ name: 'test', static_layer: flush }] };
  return JSON.stringify({
    bootstrap_extensions,
    stats_eviction_interval,
    stats_sinks,
    static_resources: { clusters: clusters.filter(({ name }) => name === 'otlp-metrics') },
    layered_runtime,
    stats_flush_interval: '0.2s',
  });
}

/** The application, which without a redirect is not where the client dialled. */
function local(cluster: Cluster, behind: ReadonlyMap<string, number>): Cluster {
  const port = behind.get(cluster.name);
  if (port === undefined) return cluster;
  const { name, metadata, typedExtensionProtocolOptions } = cluster;
  const here = { address: '127.0.0.1', port, weight: 1, locality: '', meshed: false };
  return create(ClusterSchema, {
    name,
    clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
    loadAssignment: buildLoadAssignment(name, [here]),
    typedExtensionProtocolOptions,
    ...(metadata && { metadata }),
  });
}
