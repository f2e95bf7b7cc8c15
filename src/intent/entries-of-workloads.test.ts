// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { clusterName } from '../api/names.ts';
import type { KubeObject } from '../kube/types.ts';
import { MeshStore } from '../model/store.ts';
import { CompileCache, compileProxy } from '../pipeline.ts';

const HOST = 'pay.example.com';
const HTTP = { number: 80, name: 'http', protocol: 'HTTP' };
const MESHED = { 'security.istio.io/tlsMode': 'istio' };

function entry(spec: object): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'pay', namespace: 'default' },
    spec: {
      hosts: [HOST],
      addresses: ['10.96.0.1'],
      location: 'MESH_INTERNAL',
      resolution: 'STATIC',
      ports: [HTTP],
      ...spec,
    },
  };
}

/** How long connections to the entry's endpoints last, and whether one that fails is left alone. */
function policyOf(...objects: (KubeObject & { readonly cluster?: string })[]) {
  const store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'c1',
  });
  store.apply(objects.map(({ cluster = 'c1', ...object }) => ({ kind: 'upsert', cluster, object })));
  const proxy = meshProxy({ id: 'p', cluster: clusterName('c1') });
  const { intent } = compileProxy(store.snapshot, proxy, new CompileCache());
  const { pool, outlier } = [...intent.destinations.values()].find(({ ref }) => ref.host === HOST)!;
  return { lifetimeMs: pool.lifetimeMs, isLeftAlone: outlier !== undefined };
}

const GATEWAYS = { lifetimeMs: 10_000, isLeftAlone: true };
const WORKLOADS = { lifetimeMs: undefined, isLeftAlone: false };
const known = { address: '192.0.2.1', serviceAccount: 'pay' };

test.each<[string, object, object]>([
  ['who answers is said of all', { endpoints: [known, { ...known, address: '192.0.2.2' }] }, WORKLOADS],
  ['and not of one', { endpoints: [known, { address: '192.0.2.2' }] }, GATEWAYS],
  ['only that they have sidecars', { endpoints: [{ address: '192.0.2.1', labels: MESHED }] }, GATEWAYS],
  ["at the gateways' port", { endpoints: [{ ...known, ports: { http: 15443 } }] }, GATEWAYS],
  ["at the gateways' port, by the entry", { ports: [{ ...HTTP, targetPort: 15443 }], endpoints: [known] }, GATEWAYS],
  ['on a network', { endpoints: [{ ...known, network: 'net2' }] }, GATEWAYS],
])('endpoints: %s', (_, spec, expected) => {
  expect(policyOf(entry(spec))).toEqual(expected);
});

test('where a part of the mesh is behind a gateway, any address may be one', () => {
  const networks = { net2: { endpoints: [{ fromRegistry: 'c2' }], gateways: [{ address: '192.0.2.9', port: 15443 }] } };
  const meshNetworks = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { meshNetworks: JSON.stringify({ networks }) },
  };
  const ofCart = { name: 'cart', namespace: 'default' };
  const labels = { 'kubernetes.io/service-name': 'cart' };
  const remote = [
    { apiVersion: 'v1', kind: 'Service', metadata: ofCart, spec: { clusterIP: '10.97.0.1', ports: [HTTP] } },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...ofCart, labels: MESHED },
      spec: { containers: [] },
      status: { podIP: '10.2.0.1' },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { ...ofCart, labels },
      ports: [{ name: 'http', port: 8080 }],
      endpoints: [{ addresses: ['10.2.0.1'], targetRef: { kind: 'Pod', name: 'cart' } }],
    },
  ].map((object) => ({ ...object, cluster: 'c2' }));
  const ours = entry({ endpoints: [known] });
  expect(policyOf(ours, ...remote)).toEqual(WORKLOADS);
  expect(policyOf(ours, meshNetworks, ...remote)).toEqual(GATEWAYS);
});
