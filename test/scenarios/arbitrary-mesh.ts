// SPDX-License-Identifier: Apache-2.0
// Random meshes that are valid object by object; what they mean together is left to chance.
import fc from 'fast-check';
import type { KubeObject } from '../../src/kube/types.ts';
import { arbitraryRoute, VERSIONS } from './arbitrary-routes.ts';

const NAMESPACES = ['alpha', 'beta', 'gamma'] as const;
const NAMES = ['reviews', 'ratings', 'details', 'orders'] as const;
const PORTS = [
  { name: 'http', port: 9080 },
  { name: 'http-admin', port: 8080 },
  { name: 'grpc', port: 7070, targetPort: 7071 },
  { name: 'tcp-db', port: 5432 },
  { name: 'odd', port: 6060 },
  { name: 'https', port: 443, targetPort: 8443 },
  { name: 'web', port: 80, targetPort: 'web', appProtocol: 'http' },
] as const;

const namespace = fc.constantFrom(...NAMESPACES);
const name = fc.constantFrom(...NAMES);
const exportTo = fc.option(fc.oneof(fc.constantFrom(['*'], ['.']), fc.subarray([...NAMESPACES], { minLength: 1 })), {
  nil: undefined,
});
const ip = (net: number) =>
  fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 250 })).map(([a, b]) => `10.${net}.${a}.${b}`);
const created = fc.nat(5).map((n) => new Date(Date.UTC(2026, 0, 1, 0, 0, n)).toISOString());

const service = fc
  .record({ namespace, name, clusterIP: fc.oneof(ip(96), fc.constant('None')), created, ports: ports() })
  .map(
    (s): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: s.name, namespace: s.namespace, creationTimestamp: s.created },
      spec: { clusterIP: s.clusterIP, selector: { app: s.name }, ports: s.ports },
    }),
  );

function ports() {
  return fc.uniqueArray(fc.constantFrom(...PORTS), { minLength: 1, selector: (p) => p.name });
}

const place = fc.constantFrom('', 'eu.a', 'eu.b', 'us.a');
const pod = fc
  .record({ namespace, name, version: fc.constantFrom(...VERSIONS), ip: ip(1), meshed: fc.boolean(), place })
  .map(
    (p): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `${p.name}-${p.version}`,
        namespace: p.namespace,
        labels: {
          app: p.name,
          version: p.version,
          'istio-locality': p.place,
          ...(p.meshed && { 'security.istio.io/tlsMode': 'istio' }),
        },
      },
      spec: { serviceAccountName: p.name, containers: [{ ports: [{ name: 'web', containerPort: 8000 }] }] },
      status: { podIP: p.ip, conditions: [{ type: 'Ready', status: p.meshed ? 'True' : 'False' }] },
    }),
  );

const slice = fc
  .record({ namespace, name, versions: fc.subarray([...VERSIONS]), ips: fc.tuple(ip(1), ip(1), ip(1)), ports: ports() })
  .map(
    (s): KubeObject => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: `${s.name}-1`, namespace: s.namespace, labels: { 'kubernetes.io/service-name': s.name } },
      addressType: 'IPv4',
      ports: s.ports.map((p) => ({ name: p.name, port: p.port })),
      endpoints: s.versions.map((v, i) => ({
        addresses: [s.ips[i]],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name: `${s.name}-${v}` },
      })),
    }),
  );

const host = fc.oneof(
  name,
  fc.tuple(name, namespace).map(([n, ns]) => `${n}.${ns}.svc.cluster.local`),
  fc.tuple(name, namespace).map(([n, ns]) => `${n}.${ns}.global`),
  fc.constantFrom('www.example.com', '*.example.com', 'unknown.example.org'),
);

const serviceEntry = fc
  .record({
    namespace,
    name,
    created,
    exportTo,
    remote: fc.boolean(),
    address: fc.option(fc.oneof(ip(127), fc.constant('240.1.0.0/16')), { nil: undefined }),
    ports: fc.uniqueArray(fc.constantFrom('http', 'http2', 'tcp', 'tls', 'any'), { minLength: 1, maxLength: 4 }),
    endpoints: fc.uniqueArray(fc.oneof(ip(9), fc.constantFrom('a.example.com', 'b.example.com')), {
      minLength: 1,
      maxLength: 3,
    }),
    once: fc.boolean(),
  })
  .map((e) =>
    mesh('ServiceEntry', `${e.name}-entry`, e.namespace, e.created, {
      hosts: hostsOf(e),
      ...(e.exportTo && { exportTo: e.exportTo }),
      location: e.remote ? 'MESH_INTERNAL' : 'MESH_EXTERNAL',
      ...(e.address && !(isBlock(e) && !isByIp(e)) && { addresses: [e.address] }),
      ports: e.ports.map((protocol, i) => ({
        number: [9080, 7070, 5432, 443][i],
        name: `p${i}`,
        ...(protocol !== 'any' && { protocol }),
      })),
      resolution: isBlock(e) && isByIp(e) ? 'STATIC' : e.once && e.endpoints.length === 1 ? 'DNS_ROUND_ROBIN' : 'DNS',
      endpoints: e.endpoints.map((address, i) => ({
        address,
        labels: { version: VERSIONS[i]! },
        ports: { p0: 15443 },
      })),
    }),
  );

interface EntryDraft {
  name: string;
  namespace: string;
  remote: boolean;
  ports: readonly string[];
  address: string | undefined;
  endpoints: readonly string[];
}

/** Nothing but HTTP and TLS tells several hosts apart. */
function hostsOf({ name, namespace, remote, ports: protocols }: EntryDraft): string[] {
  if (remote) return [`${name}.${namespace}.global`];
  const plain = protocols.some((protocol) => protocol === 'tcp' || protocol === 'any');
  return plain ? ['www.example.com'] : ['www.example.com', '*.example.com'];
}

function isBlock({ address }: EntryDraft): boolean {
  return address?.includes('/') === true;
}

function isByIp({ endpoints }: EntryDraft): boolean {
  return endpoints.every((address) => /^[\d.]+$/.test(address));
}

/** Workloads that Services and entries select. */
const workloadEntry = fc
  .record({ namespace, name, version: fc.constantFrom(...VERSIONS), created, ip: ip(7), weight: fc.nat(3) })
  .map((w) =>
    mesh('WorkloadEntry', `${w.name}-${w.version}`, w.namespace, w.created, {
      address: w.ip,
      labels: { app: w.name, version: w.version },
      ports: { http: 9081, p0: 15444 },
      weight: w.weight,
      serviceAccount: w.name,
    }),
  );

const selectingEntry = fc.record({ namespace, name, created, resolution: fc.constantFrom('STATIC', 'DNS') }).map((e) =>
  mesh('ServiceEntry', `${e.name}-selecting`, e.namespace, e.created, {
    hosts: [`${e.name}.selected.example.com`],
    location: 'MESH_INTERNAL',
    ports: [
      { number: 9080, name: 'p0', protocol: 'HTTP' },
      { number: 6061, name: 'p1' },
    ],
    resolution: e.resolution,
    workloadSelector: { labels: { app: e.name } },
  }),
);

const policy = fc.record(
  {
    tls: fc.constantFrom({ mode: 'ISTIO_MUTUAL' }, { mode: 'DISABLE' }, { mode: 'SIMPLE', insecureSkipVerify: true }),
    loadBalancer: fc.constantFrom(
      { simple: 'RANDOM' },
      { simple: 'PASSTHROUGH' },
      { simple: 'ROUND_ROBIN', warmup: { duration: '10s' } },
      { consistentHash: { httpHeaderName: 'x-user' } },
      { consistentHash: { useSourceIp: true, maglev: { tableSize: 11 } } },
      { localityLbSetting: { distribute: [{ from: 'eu/*', to: { 'eu/a': 60, 'us/*': 40 } }] } },
      { localityLbSetting: { failoverPriority: ['version', 'topology.kubernetes.io/region'] } },
    ),
    connectionPool: fc.constantFrom(
      { tcp: { idleTimeout: '0s', maxConnectionDuration: '5m' }, http: { h2UpgradePolicy: 'UPGRADE' } },
      { tcp: { maxConnections: 5, connectTimeout: '2s', tcpKeepalive: { time: '10s' } } },
      { http: { http2MaxRequests: 9, maxRequestsPerConnection: 1, idleTimeout: '5s' } },
    ),
    outlierDetection: fc.constantFrom({ consecutive5xxErrors: 3, interval: '1s' }, { consecutiveGatewayErrors: 1 }),
  },
  { requiredKeys: [] },
);
export const policyOfAll = fc
  .tuple(
    policy,
    fc.option(fc.constantFrom({ tunnel: { targetHost: 'db.example', targetPort: 5432 } }, { proxyProtocol: {} })),
  )
  .map(([common, more]) => ({ ...common, ...more }));

/** Istio's rules for a list of scopes. */
function distinctScopes(scopes: readonly string[], namespace: string): string[] {
  if (scopes.includes('*')) return ['*'];
  return scopes.filter((scope) => scope !== '~' && !(scope === '.' && scopes.includes(namespace)));
}

/** An empty policy is refused. */
function said(trafficPolicy: object): { trafficPolicy?: object } {
  return Object.keys(trafficPolicy).length === 0 ? {} : { trafficPolicy };
}

const destinationRule = fc
  .record({
    namespace,
    name,
    created,
    host,
    exportTo,
    subsets: fc.subarray([...VERSIONS]),
    policy: policyOfAll,
    inner: policy,
    selected: fc.option(fc.constantFrom(...NAMES)),
  })
  .map((d) =>
    mesh('DestinationRule', d.name, d.namespace, d.created, {
      host: d.host,
      ...(d.selected !== null && { workloadSelector: { matchLabels: { app: d.selected } } }),
      ...(d.exportTo && d.selected === null && { exportTo: distinctScopes(d.exportTo, d.namespace) }),
      ...said(d.policy),
      subsets: d.subsets.map((v) => ({ name: v, labels: { version: v }, ...said(d.inner) })),
    }),
  );

const destination = fc
  .record({
    host,
    subset: fc.option(fc.constantFrom(...VERSIONS), { nil: undefined }),
    port: fc.option(fc.constantFrom(9080, 7070), { nil: undefined }),
  })
  .map((d) => ({ host: d.host, ...(d.subset && { subset: d.subset }), ...(d.port && { port: { number: d.port } }) }));
const route = arbitraryRoute({ namespaces: NAMESPACES, ports: [9080, 8080], gateways: ['mesh', 'edge'] }, destination);

const virtualService = fc
  .record({
    namespace,
    name,
    created,
    exportTo,
    // One of two that cover one another would never be asked.
    hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 2, selector: (h) => h.replace('www.', '*.') }),
    gateways: fc.subarray(['mesh', 'edge', 'alpha/edge'], { minLength: 1 }),
    http: fc.array(route, { minLength: 1, maxLength: 3 }),
  })
  .map((v) => {
    const { hosts, gateways, http } = v;
    return mesh('VirtualService', v.name, v.namespace, v.created, {
      hosts,
      gateways,
      http,
      ...(v.exportTo && { exportTo: v.exportTo }),
    });
  });

const gateway = fc
  .record({
    namespace,
    created,
    hosts: fc.uniqueArray(fc.constantFrom('*', '*.example.com', './*', 'alpha/reviews'), { minLength: 1 }),
  })
  .map((g) =>
    mesh('Gateway', 'edge', g.namespace, g.created, {
      selector: { istio: 'ingressgateway' },
      servers: [
        { port: { number: 80, name: 'http', protocol: 'HTTP' }, hosts: g.hosts },
        {
          port: { number: 15443, name: 'tls', protocol: 'TLS' },
          tls: { mode: 'AUTO_PASSTHROUGH' },
          hosts: ['*.global'],
        },
      ],
    }),
  );

function mesh(kind: string, name: string, namespace: string, creationTimestamp: string, spec: object): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace, creationTimestamp }, spec };
}

/** Objects with distinct kind, namespace and name. */
export const arbitraryMesh: fc.Arbitrary<KubeObject[]> = fc.uniqueArray(
  fc.oneof(service, pod, slice, serviceEntry, workloadEntry, selectingEntry, destinationRule, virtualService, gateway),
  { minLength: 1, maxLength: 30, selector: (o) => `${o.kind}/${o.metadata.namespace}/${o.metadata.name}` },
);
