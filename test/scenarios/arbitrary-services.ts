// SPDX-License-Identifier: Apache-2.0
// Random objects of Kubernetes itself, in every form that the mesh reads: Services of each type, with their policies and
// families, slices with endpoints in every state, pods that say how their proxy is to be, nodes, and networks.
import fc from 'fast-check';
import { stringify } from 'yaml';
import type { KubeObject } from '../../src/kube/types.ts';
import { NAMES, NAMESPACES } from '../fields/value-pools.ts';

const namespace = fc.constantFrom(...NAMESPACES);
const name = fc.constantFrom(...NAMES);
const created = fc.nat(5).map((n) => new Date(Date.UTC(2026, 0, 1, 0, 0, n)).toISOString());
const byte = fc.integer({ min: 1, max: 250 });
const node = fc.constantFrom('node-a', 'node-b', 'node-c');
const zone = fc.constantFrom('', 'west', 'east');

const port = fc.constantFrom(
  { name: 'http', port: 9080 },
  { name: 'http2-web', port: 8080, targetPort: 'web' },
  { name: 'grpc-web-shop', port: 7070 },
  { name: 'tcp-db', port: 5432 },
  { name: 'mysql', port: 3306 },
  { name: 'mongo', port: 27017 },
  { name: 'https', port: 443, targetPort: 8443 },
  { name: 'tls-own', port: 8443 },
  { name: 'dns', port: 53, protocol: 'UDP' },
  { port: 6060 },
  { name: 'h2c', port: 6061, appProtocol: 'kubernetes.io/h2c' },
  { name: 'ws', port: 6062, appProtocol: 'kubernetes.io/ws' },
  { name: 'said', port: 6063, appProtocol: 'grpc' },
);
const ports = fc.uniqueArray(port, { minLength: 1, maxLength: 4, selector: (p) => p.name ?? '' });

const addresses = byte.chain((n) =>
  fc.constantFrom(
    { clusterIP: `10.96.3.${n}` },
    { clusterIP: 'None' },
    { clusterIP: '' },
    { clusterIP: `10.96.3.${n}`, clusterIPs: [`10.96.3.${n}`, `fd00:96::${n}`], ipFamilies: ['IPv4', 'IPv6'] },
    { clusterIP: `fd00:96::${n}`, clusterIPs: [`fd00:96::${n}`], ipFamilies: ['IPv6'] },
    { clusterIP: 'None', ipFamilies: ['IPv4', 'IPv6'] },
    { clusterIP: `10.96.3.${n}`, type: 'NodePort' },
    { clusterIP: `10.96.3.${n}`, type: 'LoadBalancer', externalIPs: ['198.51.100.1'] },
  ),
);
const externalName = fc.constantFrom(
  ...['reviews.alpha.svc.cluster.local', 'ratings.beta.svc.cluster.local.', 'orders', 'www.example.com', '192.0.2.9'],
);

const service = fc
  .record({
    namespace,
    name,
    created,
    ports,
    addresses,
    externalName: fc.option(externalName, { freq: 5 }),
    selector: fc.option(fc.constantFrom({ app: 'reviews' }, { version: 'v1' }, {})),
    policies: fc.record(
      {
        sessionAffinity: fc.constantFrom('ClientIP', 'None'),
        internalTrafficPolicy: fc.constantFrom('Local', 'Cluster'),
        externalTrafficPolicy: fc.constantFrom('Local', 'Cluster'),
        trafficDistribution: fc.constantFrom('PreferClose', 'PreferSameZone', 'PreferSameNode'),
        publishNotReadyAddresses: fc.boolean(),
      },
      { requiredKeys: [] },
    ),
    annotations: fc.record(
      {
        'networking.istio.io/exportTo': fc.constantFrom('*', '.', '~', 'alpha,beta'),
        'networking.istio.io/traffic-distribution': fc.constantFrom('any', 'PreferClose'),
      },
      { requiredKeys: [] },
    ),
    ingress: fc.option(fc.constantFrom({ ip: '198.51.100.7' }, { hostname: 'lb.example.com' })),
  })
  .map(
    (s): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: s.name, namespace: s.namespace, creationTimestamp: s.created, annotations: s.annotations },
      spec:
        s.externalName === null
          ? { ...s.addresses, ...(s.selector && { selector: s.selector }), ...s.policies, ports: s.ports }
          : { type: 'ExternalName', externalName: s.externalName, ports: s.ports },
      status: { loadBalancer: s.ingress === null ? {} : { ingress: [s.ingress] } },
    }),
  );

const conditions = fc.constantFrom(
  { ready: true },
  { ready: false },
  { ready: false, serving: true, terminating: true },
  { ready: true, serving: false, terminating: true },
  {},
);
const families = {
  IPv4: (n: number) => `10.1.3.${n}`,
  IPv6: (n: number) => `fd00:1::${n}`,
  FQDN: (n: number) => `e${n}.example`,
};

const slice = fc
  .record({
    namespace,
    name,
    family: fc.constantFrom('IPv4', 'IPv4', 'IPv6', 'FQDN'),
    ports,
    endpoints: fc.array(fc.record({ byte, conditions, node, zone, pod: fc.constantFrom('v1', 'v2', 'v3') }), {
      maxLength: 4,
    }),
  })
  .map(
    (s): KubeObject => ({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        name: `${s.name}-${s.family.toLowerCase()}`,
        namespace: s.namespace,
        labels: { 'kubernetes.io/service-name': s.name },
      },
      addressType: s.family,
      ports: s.ports.map((p) => ({
        name: p.name ?? '',
        port: typeof p.targetPort === 'number' ? p.targetPort : p.port,
      })),
      endpoints: s.endpoints.map((e) => ({
        addresses: [families[s.family](e.byte)],
        conditions: e.conditions,
        nodeName: e.node,
        ...(e.zone !== '' && { zone: e.zone }),
        targetRef: { kind: 'Pod', name: `${s.name}-${e.pod}` },
      })),
    }),
  );

const settings = fc.constantFrom(
  { concurrency: 2 },
  { proxyMetadata: { OTEL_RESOURCE_ATTRIBUTES: 'a=b' } },
  { tracing: { sampling: 50, zipkin: { address: 'orders.beta:9080' } } },
  { gatewayTopology: { numTrustedProxies: 1, forwardClientCertDetails: 'APPEND_FORWARD' } },
);
/** Those of the proxies that are compiled among them. */
const pod = fc
  .record({ namespace, name, version: fc.constantFrom('v1', 'v2'), byte, node, settings: fc.option(settings) })
  .map(
    (p): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: {
        name: `${p.name}-${p.version}`,
        namespace: p.namespace,
        labels: { app: p.name, version: p.version, 'security.istio.io/tlsMode': 'istio' },
        annotations: p.settings === null ? {} : { 'proxy.istio.io/config': stringify(p.settings) },
      },
      spec: {
        serviceAccountName: p.name,
        nodeName: p.node,
        containers: [{ ports: [{ name: 'web', containerPort: 8000 }] }],
      },
      status: { podIP: `10.1.3.${p.byte}`, conditions: [{ type: 'Ready', status: 'True' }] },
    }),
  );

const place = fc.record({ name: node, region: fc.constantFrom('eu', 'us'), zone }).map(
  (n): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: n.name,
      labels: { 'topology.kubernetes.io/region': n.region, 'topology.kubernetes.io/zone': n.zone },
    },
  }),
);

export const kubernetesObject: fc.Arbitrary<KubeObject> = fc.oneof(
  { weight: 4, arbitrary: service },
  { weight: 3, arbitrary: slice },
  { weight: 2, arbitrary: pod },
  { weight: 1, arbitrary: place },
);

/** The text `meshNetworks` of ConfigMap istio. */
export const meshNetworks: fc.Arbitrary<string> = fc
  .record({
    cidr: fc.constantFrom('10.1.3.0/25', '10.1.0.0/16', '10.9.7.0/24'),
    gateways: fc.array(
      fc.constantFrom(
        { address: '198.51.100.31', port: 443 },
        { address: '198.51.100.32', port: 15443, locality: 'eu/west' },
        { address: 'gw.example.com', port: 15443 },
        { registryServiceName: 'ingress.gamma.svc.cluster.local', port: 15443 },
      ),
      { maxLength: 2 },
    ),
    isOwn: fc.boolean(),
  })
  .map(({ cidr, gateways, isOwn }) =>
    stringify({
      networks: {
        'net-1': { endpoints: [{ fromCidr: cidr }], gateways },
        ...(isOwn && { 'net-2': { endpoints: [{ fromRegistry: 'cluster1' }], gateways: [] } }),
      },
    }),
  );
