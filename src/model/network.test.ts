// SPDX-License-Identifier: Apache-2.0

import { describe, expect, test } from 'vitest';
import type { Diagnostic } from '../api/diagnostics.ts';
import type { KubeObject } from '../kube/types.ts';
import { MeshStore, type StoreEvent } from './store.ts';

const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
const newStore = () => new MeshStore({ ...settings, configCluster: 'one' });
const upsert = (cluster: string, object: KubeObject): StoreEvent => ({ kind: 'upsert', cluster, object });

function networks(yaml: string): KubeObject {
  const metadata = { name: 'istio', namespace: 'istio-system' };
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { meshNetworks: yaml } };
}

const SERVICE: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: { clusterIP: '10.96.0.1', selector: { app: 'cart' }, ports: [{ name: 'http', port: 80 }] },
};
const KEY = 'shop/cart.shop.svc.cluster.local';

function pod(ip: string, labels: Record<string, string> = {}): KubeObject[] {
  const name = `cart-${ip.replaceAll('.', '-')}`;
  const meshed = { 'security.istio.io/tlsMode': 'istio' };
  return [
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'shop', labels: { ...meshed, ...labels } },
      spec: { containers: [] },
      status: { podIP: ip },
    },
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': 'cart' } },
      ports: [{ name: 'http', port: 8080 }],
      endpoints: [{ addresses: [ip], conditions: { ready: true }, targetRef: { kind: 'Pod', name } }],
    },
  ];
}

function gateway(ingress: object[]): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'istio-ingressgateway', namespace: 'istio-system' },
    spec: { clusterIP: '10.96.0.2', ports: [{ name: 'tls', port: 443 }] },
    status: { loadBalancer: { ingress } },
  };
}

/** Address -> network. */
function placed(store: MeshStore): Record<string, string> {
  return Object.fromEntries((store.snapshot.endpoints.get(KEY) ?? []).map((e) => [e.address, e.network]));
}

describe('who is on which network', () => {
  test('the pod’s label goes before the CIDR, and that before the registry', () => {
    const store = newStore();
    store.apply([
      upsert('one', SERVICE),
      ...pod('10.1.0.1').map((o) => upsert('one', o)),
      upsert('n2-k8s-config', SERVICE),
      ...['10.2.0.1', '10.2.9.1', '10.2.9.2'].flatMap((ip) =>
        pod(ip, ip === '10.2.9.2' ? { 'topology.istio.io/network': 'own' } : {}).map((o) => upsert('n2-k8s-config', o)),
      ),
    ]);
    expect(placed(store)).toEqual({ '10.1.0.1': '', '10.2.0.1': '', '10.2.9.1': '', '10.2.9.2': 'own' });
    store.apply([
      upsert(
        'one',
        networks(`networks:
  network2: { endpoints: [{ fromRegistry: n2-k8s-config }] }
  network3: { endpoints: [{ fromCidr: 10.2.9.0/24 }] }
  network1: { endpoints: [{ fromRegistry: Kubernetes }] }`),
      ),
    ]);
    const after = { '10.1.0.1': 'network1', '10.2.0.1': 'network2', '10.2.9.1': 'network3', '10.2.9.2': 'own' };
    expect(placed(store)).toEqual(after);
  });

  test('endpoints of a ServiceEntry are where they say, or everywhere', () => {
    const store = newStore();
    const entry: KubeObject = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'httpbin', namespace: 'shop' },
      spec: {
        hosts: ['httpbin.bar.global'],
        location: 'MESH_INTERNAL',
        ports: [{ name: 'http1', number: 8000, protocol: 'http' }],
        resolution: 'STATIC',
        endpoints: [{ address: '172.31.0.2', network: 'external' }, { address: '10.96.7.7' }],
      },
    };
    store.apply([
      upsert('one', networks('networks: {n: {endpoints: [{fromCidr: 10.0.0.0/8}]}}')),
      upsert('one', entry),
    ]);
    const [service] = [...store.snapshot.index.services.values()];
    expect(service?.networks).toEqual(['external']);
    const set = store.snapshot.endpoints.get(service!.key)!;
    expect(set.map((e) => [e.address, e.network])).toEqual([
      ['10.96.7.7', '*'],
      ['172.31.0.2', 'external'],
    ]);
  });
});

describe('meshNetworks is read live', () => {
  const good = networks('networks:\n  n2:\n    gateways:\n    - {address: 172.31.0.9, port: 443}\n');

  test('a bad edit is reported with its line, and the good one before stays in force', () => {
    const store = newStore();
    store.apply([upsert('one', good)]);
    const before = store.snapshot;
    const { snapshot, diagnostics } = store.apply([
      upsert('one', networks('networks:\n  n2:\n    gateways:\n    - {address: 172.31.0.9, port: 70000}\n')),
    ]);
    expect(snapshot).toBe(before);
    expect(diagnostics).toMatchObject([
      {
        code: 'ISM0006',
        field: 'data.meshNetworks.networks.n2.gateways[0].port',
        message: 'line 4 of meshNetworks: 70000 is out of range',
        object: { kind: 'ConfigMap', name: 'istio' },
      },
    ]);
    expect(store.apply([upsert('one', good)]).diagnostics).toEqual([]);
  });

  test.each([
    ['networks: [', 'ISM0002', 'data.meshNetworks'],
    [
      'networks: {n: {endpoints: [{fromRegistery: x}]}}',
      'ISM0003',
      'data.meshNetworks.networks.n.endpoints[0].fromRegistery',
    ],
    ['networks: {n: {endpoints: [{}]}}', 'ISM0001', 'data.meshNetworks.networks.n.endpoints[0]'],
    [
      'networks: {n: {endpoints: [{fromRegistry: a, fromCidr: 10.0.0.0/8}]}}',
      'ISM0007',
      'data.meshNetworks.networks.n.endpoints[0]',
    ],
    [
      'networks: {n: {endpoints: [{fromCidr: 10.0.0.0}]}}',
      'ISM0006',
      'data.meshNetworks.networks.n.endpoints[0].fromCidr',
    ],
    [
      'networks: {n: {gateways: [{address: 300.1.1.1, port: 1}]}}',
      'ISM0006',
      'data.meshNetworks.networks.n.gateways[0].address',
    ],
    [
      'networks: {n: {gateways: [{registryServiceName: x, port: 1}]}}',
      'ISM0006',
      'data.meshNetworks.networks.n.gateways[0].registryServiceName',
    ],
    ['networks: {n: {gateways: [{address: 1.1.1.1}]}}', 'ISM0001', 'data.meshNetworks.networks.n.gateways[0].port'],
    ['networks: {external: {}}', 'ISM0006', 'data.meshNetworks.networks.external'],
    [
      'networks: {a: {endpoints: [{fromCidr: 10.0.0.0/8}]}, b: {endpoints: [{fromCidr: 10.1.0.0/16}]}}',
      'ISM0009',
      'data.meshNetworks.networks.b.endpoints[0]',
    ],
    [
      'networks: {a: {endpoints: [{fromRegistry: x}]}, b: {endpoints: [{fromRegistry: x}]}}',
      'ISM0009',
      'data.meshNetworks.networks.b.endpoints[0]',
    ],
  ])('%s is refused', (yaml, code, field) => {
    const store = newStore();
    store.apply([upsert('one', good)]);
    const before = store.snapshot;
    const { snapshot, diagnostics } = store.apply([upsert('one', networks(yaml))]);
    expect(diagnostics.map((d) => [d.severity, d.code, d.field])).toContainEqual(['error', code, field]);
    expect(snapshot).toBe(before);
  });

  test('an edit of a gateway leaves everything but the way to its network as it is', () => {
    const store = newStore();
    store.apply([upsert('one', good), upsert('one', SERVICE), ...pod('10.1.0.1').map((o) => upsert('one', o))]);
    const before = store.snapshot;
    const { snapshot } = store.apply([
      upsert(
        'one',
        networks('networks:\n  n2:\n    gateways:\n    - {address: 172.31.0.8, port: 443}\n  n3: {gateways: []}'),
      ),
    ]);
    expect(snapshot.endpoints).toBe(before.endpoints);
    expect(snapshot.index.services).toBe(before.index.services);
    expect(snapshot.index.networks.members).toBe(before.index.networks.members);
    expect([...snapshot.index.networks.gateways]).toEqual([
      ['n2', [{ address: '172.31.0.8', port: 443, locality: '' }]],
    ]);
  });
});

test('pods of a headless service are those of the client’s own cluster', () => {
  const store = newStore();
  const headless = { ...SERVICE, spec: { ...(SERVICE['spec'] as object), clusterIP: 'None' } };
  const plain = pod('10.1.0.1', { 'security.istio.io/tlsMode': 'disabled' });
  const { snapshot } = store.apply([
    ...['one', 'two'].map((cluster) => upsert(cluster, headless)),
    ...pod('10.1.0.1').map((o) => upsert('one', o)),
    ...plain.map((o) => upsert('two', o)),
  ]);
  expect(snapshot.index.headless.get(KEY)).toEqual({
    one: { addresses: ['10.1.0.1'], meshed: true },
    two: { addresses: ['10.1.0.1'], meshed: false },
  });
});

test('the spelling of Istio’s charts is read too', () => {
  const store = newStore();
  const yaml = `networks:
  n2: { endpoints: [{ from_registry: two }, { from_cidr: 10.7.0.0/16 }], gateways: [{ registry_service_name: gw.istio-system, port: 1 }] }`;
  const { diagnostics } = store.apply([
    upsert('one', networks(yaml)),
    upsert('two', SERVICE),
    ...pod('10.2.0.1').map((o) => upsert('two', o)),
  ]);
  expect(diagnostics.map((d) => d.code)).toEqual(['ISM0112']);
  expect(placed(store)).toEqual({ '10.2.0.1': 'n2' });
});

describe('gateways', () => {
  const byService = networks(`networks:
  n2:
    endpoints: [{ fromRegistry: two }]
    gateways: [{ registryServiceName: istio-ingressgateway.istio-system.svc.cluster.local, port: 443, locality: us/a }]`);
  const known = (store: MeshStore) => store.snapshot.index.networks.gateways.get('n2')?.map((g) => g.address);

  test('a Service’s load balancer in the network’s own registry is the gateway, and is followed', () => {
    const store = newStore();
    store.apply([upsert('one', gateway([{ ip: '172.31.0.1' }]))]);
    const { diagnostics } = store.apply([upsert('one', byService)]);
    expect(known(store)).toEqual([]);
    expect(diagnostics.map((d) => `${d.code} ${d.field}`)).toEqual([
      'ISM0112 data.meshNetworks.networks.n2.gateways[0]',
    ]);
    expect(store.apply([upsert('two', gateway([{ ip: '172.31.0.2' }, { ip: '172.31.0.3' }]))]).diagnostics).toEqual([]);
    expect(known(store)).toEqual(['172.31.0.2', '172.31.0.3']);
    store.apply([upsert('two', gateway([{ ip: '172.31.0.3' }]))]);
    expect(known(store)).toEqual(['172.31.0.3']);
  });

  test('names are told to whoever resolves them, and stand for what was answered', () => {
    const store = newStore();
    store.apply([upsert('one', byService), upsert('two', gateway([{ hostname: 'lb.example.com' }]))]);
    expect(store.gatewayNames).toEqual(['lb.example.com']);
    expect(known(store)).toEqual([]);
    store.answer(new Map([['lb.example.com', ['198.51.100.7', '198.51.100.8']]]));
    expect(known(store)).toEqual(['198.51.100.7', '198.51.100.8']);
    const before = store.snapshot;
    expect(store.answer(new Map([['lb.example.com', ['198.51.100.7', '198.51.100.8']]])).snapshot).toBe(before);
  });

  test('addresses of both families are ways of two kinds to one and the same', () => {
    const store = newStore();
    store.apply([upsert('one', byService), upsert('two', gateway([{ hostname: 'lb.example.com' }]))]);
    const ways = (...addresses: string[]) => {
      store.answer(new Map([['lb.example.com', addresses]]));
      const found = store.snapshot.index.networks.gateways.get('n2') ?? [];
      return found.map(({ address, alternatives = [] }) => [address, ...alternatives].join(' '));
    };
    expect(ways('198.51.100.7', '198.51.100.8', '2001:db8::7')).toEqual(['198.51.100.7 2001:db8::7', '198.51.100.8']);
    expect(ways('198.51.100.7', '2001:db8::7', '2001:db8::8')).toEqual(['198.51.100.7 2001:db8::7', '2001:db8::8']);
    expect(ways('2001:db8::7', '2001:db8::8')).toEqual(['2001:db8::7', '2001:db8::8']);
  });

  test('0.0.0.0 is no address yet', () => {
    const store = newStore();
    const { diagnostics } = store.apply([
      upsert('one', networks('networks: {n2: {gateways: [{address: 0.0.0.0, port: 443}]}}')),
    ]);
    expect(diagnostics.map((d) => `${d.severity} ${d.code}`)).toEqual(['warning ISM0112']);
    expect(known(store)).toEqual([]);
  });

  test('an endpoint without a sidecar behind a gateway is warned of, and where networks are occupied is known', () => {
    const store = newStore();
    const bare = pod('10.2.0.1', { 'security.istio.io/tlsMode': 'disabled' });
    const { diagnostics } = store.apply([
      upsert(
        'one',
        networks('networks: {n2: {endpoints: [{fromRegistry: two}], gateways: [{address: 1.2.3.4, port: 443}]}}'),
      ),
      upsert('one', SERVICE),
      upsert('two', SERVICE),
      ...pod('10.1.0.1').map((o) => upsert('one', o)),
      ...bare.map((o) => upsert('two', o)),
    ]);
    const told = (of: readonly Diagnostic[]) => of.filter(({ code }) => code === 'ISM0113');
    expect(told(diagnostics)).toHaveLength(1);
    expect(told(diagnostics)[0]?.message).toContain('in two, behind the gateway of network n2');
    expect(store.snapshot.index.networks.occupied).toEqual([{ network: '', cluster: 'one' }]);
    // Nobody is on another network who could miss a way to `one`.
    expect(diagnostics).toHaveLength(1);
    expect(
      store.apply([{ kind: 'delete', cluster: 'one', object: SERVICE }]).diagnostics,
      'nobody else calls it',
    ).toEqual([]);
    store.apply([upsert('one', SERVICE)]);
    const mended = store.apply(pod('10.2.0.1').map((o) => upsert('two', o)));
    expect(told(mended.diagnostics)).toEqual([]);
    expect(mended.diagnostics.map(({ code, message }) => `${code} ${message}`)).toEqual([
      expect.stringMatching(
        /^ISM0111 endpoints of cluster one are on no network of meshNetworks: proxies .* dial them directly/,
      ),
    ]);
    expect(mended.snapshot.index.networks.occupied).toHaveLength(2);
  });
});
