// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { MeshStore } from './store.ts';

const newStore = () =>
  new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'one',
  });
const upsert = (cluster: string, object: KubeObject) => ({ kind: 'upsert' as const, cluster, object });
const remove = (cluster: string, object: KubeObject) => ({ kind: 'delete' as const, cluster, object });

function service(clusterIP: string, created = '2026-01-01T00:00:00Z'): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'reviews', namespace: 'default', creationTimestamp: created },
    spec: { clusterIP, selector: { app: 'reviews' }, ports: [{ name: 'http', port: 9080 }] },
  };
}

function pod(name: string, labels: Record<string, string> = {}, serviceAccountName = 'default'): KubeObject {
  const meshed = { 'security.istio.io/tlsMode': 'istio' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { app: 'reviews', ...meshed, ...labels } },
    spec: { serviceAccountName, containers: [] },
    status: { podIP: '10.1.0.1' },
  };
}

function slice(...endpoints: [address: string, podName: string, ready?: boolean][]): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'reviews-1', namespace: 'default', labels: { 'kubernetes.io/service-name': 'reviews' } },
    ports: [{ name: 'http', port: 9080 }],
    endpoints: endpoints.map(([address, podName, ready = true]) => ({
      addresses: [address],
      conditions: { ready },
      targetRef: { kind: 'Pod', name: podName },
    })),
  };
}

const KEY = 'default/reviews.default.svc.cluster.local';

describe('services and endpoints', () => {
  test('endpoints have the labels and the identity of their pods, whichever comes first', () => {
    const store = newStore();
    store.apply([upsert('one', slice(['10.1.0.1', 'a'])), upsert('one', service('10.96.0.1'))]);
    expect(store.snapshot.endpoints.get(KEY)).toMatchObject([{ address: '10.1.0.1', labels: {}, meshed: false }]);
    store.apply([upsert('one', pod('a', { version: 'v1' }, 'bookinfo'))]);
    expect(store.snapshot.endpoints.get(KEY)).toMatchObject([
      { labels: { version: 'v1' }, identity: 'spiffe://cluster.local/ns/default/sa/bookinfo', meshed: true },
    ]);
    expect(store.snapshot.index.identities.get(KEY)).toEqual(['spiffe://cluster.local/ns/default/sa/bookinfo']);
  });

  test('endpoints that are not ready are left out', () => {
    const store = newStore();
    store.apply([
      upsert('one', service('10.96.0.1')),
      upsert('one', slice(['10.1.0.1', 'a', false], ['10.1.0.2', 'b'])),
    ]);
    expect(store.snapshot.endpoints.get(KEY)?.map((e) => e.address)).toEqual(['10.1.0.2']);
  });

  test('endpoints on their way out stay, marked, for as long as they can answer', () => {
    const store = newStore();
    const ending = (serving: boolean) => {
      const conditions = { ready: false, serving, terminating: true };
      return { ...slice(), endpoints: [{ addresses: ['10.1.0.1'], conditions }] };
    };
    store.apply([upsert('one', service('10.96.0.1')), upsert('one', ending(true))]);
    expect(store.snapshot.endpoints.get(KEY)).toMatchObject([{ address: '10.1.0.1', draining: true }]);
    store.apply([upsert('one', ending(false))]);
    expect(store.snapshot.endpoints.get(KEY) ?? []).toEqual([]);
  });

  test('a new pod of the same identity leaves the index as it was', () => {
    const store = newStore();
    store.apply([
      upsert('one', service('10.96.0.1')),
      upsert('one', pod('a')),
      upsert('one', slice(['10.1.0.1', 'a'])),
    ]);
    const { index } = store.snapshot;
    store.apply([upsert('one', pod('b')), upsert('one', slice(['10.1.0.1', 'a'], ['10.1.0.2', 'b']))]);
    expect(store.snapshot.index).toBe(index);
    expect(store.snapshot.endpoints.get(KEY)).toHaveLength(2);
  });

  test('a slice that changes its service moves its endpoints', () => {
    const store = newStore();
    store.apply([upsert('one', service('10.96.0.1')), upsert('one', slice(['10.1.0.1', 'a']))]);
    const moved = slice(['10.1.0.1', 'a']);
    moved.metadata.labels = { 'kubernetes.io/service-name': 'other' };
    store.apply([upsert('one', moved)]);
    expect(store.snapshot.endpoints.get(KEY)).toEqual([]);
  });

  test('one service in two clusters is one service, with an address of its own in each', () => {
    const store = newStore();
    store.apply([
      upsert('one', service('10.96.0.1')),
      upsert('one', slice(['10.1.0.1', 'a'])),
      upsert('two', service('10.96.0.2', '2026-02-01T00:00:00Z')),
      upsert('two', slice(['10.2.0.1', 'a'])),
    ]);
    const merged = store.snapshot.index.services.get(KEY);
    expect(merged?.origin.cluster).toBe('one');
    expect(merged?.clusters).toMatchObject({ one: { addresses: ['10.96.0.1'] }, two: { addresses: ['10.96.0.2'] } });
    expect(store.snapshot.endpoints.get(KEY)?.map((e) => [e.cluster, e.address])).toEqual([
      ['one', '10.1.0.1'],
      ['two', '10.2.0.1'],
    ]);
    store.apply([remove('one', service('10.96.0.1'))]);
    expect(store.snapshot.index.services.get(KEY)?.origin.cluster).toBe('two');
    expect(store.snapshot.endpoints.get(KEY)?.map((e) => e.address)).toEqual(['10.2.0.1']);
    store.apply([remove('two', service('10.96.0.2'))]);
    expect(store.snapshot.index.services.size).toBe(0);
    expect(store.snapshot.endpoints.size).toBe(0);
  });
});

describe('rules', () => {
  const rule = (spec: object): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { host: 'reviews', ...spec },
  });

  test('a refused object is left out, and its diagnostics stay until it is mended or gone', () => {
    const store = newStore();
    store.apply([upsert('one', service('10.96.0.1')), upsert('one', rule({}))]);
    const bad = store.apply([upsert('one', rule({ subsets: [{}] }))]);
    expect(bad.snapshot.index.destinationRules).toEqual([]);
    expect(bad.diagnostics.map((d) => d.code)).toEqual(['ISM0001']);
    expect(store.apply([upsert('one', pod('x'))]).diagnostics.map((d) => d.code)).toEqual(['ISM0001']);
    expect(store.apply([upsert('one', rule({}))]).diagnostics).toEqual([]);
  });

  test('rules count from the configuration cluster only', () => {
    const store = newStore();
    store.apply([upsert('two', rule({})), upsert('two', rule({ subsets: [{}] }))]);
    expect(store.snapshot.index.destinationRules).toEqual([]);
    expect(store.apply([]).diagnostics).toEqual([]);
  });

  test('what Kubernetes writes into metadata and status makes no new snapshot', () => {
    const store = newStore();
    store.apply([upsert('one', service('10.96.0.1')), upsert('one', rule({}))]);
    const { snapshot } = store;
    const touched = { ...rule({}), status: { observedGeneration: 3 } };
    touched.metadata = { ...touched.metadata, resourceVersion: '77', managedFields: [] };
    expect(store.apply([upsert('one', touched)]).snapshot).toBe(snapshot);
  });

  test('objects that no API server would give are survived', () => {
    const store = newStore();
    const broken = [
      { apiVersion: 'v1', kind: 'Service', metadata: { name: 'x', namespace: 'y' } },
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x', namespace: 'y' }, spec: 7, status: [] },
      { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', metadata: {}, endpoints: [null, 3, {}], ports: {} },
      { apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: {}, spec: null },
      { apiVersion: 'networking.istio.io/v1', kind: 'Gateway', metadata: {}, spec: { servers: 'all' } },
    ] as unknown as KubeObject[];
    expect(() => store.apply(broken.map((o) => upsert('one', o)))).not.toThrow();
  });
});

test('ports and addresses that Envoy would refuse are left out', () => {
  const store = newStore();
  const ports = [
    { name: 'http', port: 99999 },
    { name: 'tcp', port: 80, targetPort: 0 },
  ];
  const odd = service('10.96.0.1');
  odd['spec'] = { clusterIP: '10.96.0.1', ports };
  store.apply([upsert('one', odd), upsert('one', slice(['backend.example.com', 'a'], ['10.1.0.1', 'b']))]);
  expect(store.snapshot.index.services.get(KEY)?.ports).toMatchObject([{ number: 80, targetPort: 80 }]);
  expect(store.snapshot.endpoints.get(KEY)?.map((e) => e.address)).toEqual(['10.1.0.1']);
});

const config = (mesh: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { namespace: 'istio-system', name: 'istio' },
  data: { mesh },
});

test('what the mesh says of exports counts at once, for objects that say nothing', () => {
  const store = newStore();
  const rule = (name: string, spec: object) =>
    upsert('one', {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name, namespace: 'default' },
      spec: { host: name, ...spec },
    });
  const seen = () => {
    const { services, destinationRules } = store.snapshot.index;
    return [services.get(KEY)?.exportTo, ...destinationRules.map(({ spec }) => spec.exportTo)];
  };
  store.apply([upsert('one', service('10.96.0.1')), rule('reviews', {}), rule('written', { exportTo: ['*'] })]);
  expect(seen()).toEqual([['*'], ['*'], ['*']]);
  store.apply([upsert('one', config('defaultServiceExportTo: [.]\ndefaultDestinationRuleExportTo: [a, b]'))]);
  expect(seen()).toEqual([['.'], ['a', 'b'], ['*']]);
  // An object that changes together with the settings is told of once, as it was seen before.
  store.apply([rule('reviews', { host: 'other' }), upsert('one', config(''))]);
  expect(seen()).toEqual([['*'], ['*'], ['*']]);
  store.apply([upsert('one', config('defaultDestinationRuleExportTo: ["~"]')), rule('reviews', { exportTo: ['*'] })]);
  expect(seen()).toEqual([['*'], ['*'], ['*']]);
  store.apply([remove('one', config('')), rule('written', {})]);
  expect(seen()).toEqual([['*'], ['*'], ['*']]);
});

test('what the mesh says of one kind leaves objects of another what they are: those that change or go are found again', () => {
  const store = newStore();
  const rule = (host: string): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { host },
  });
  const hosts = () => store.snapshot.index.destinationRules.map(({ spec }) => spec.host);
  store.apply([upsert('one', rule('reviews'))]);
  store.apply([upsert('one', config('defaultServiceExportTo: [.]'))]);
  store.apply([upsert('one', rule('ratings'))]);
  expect(hosts()).toEqual(['ratings']);
  store.apply([upsert('one', config('defaultVirtualServiceExportTo: [.]'))]);
  store.apply([remove('one', rule('ratings'))]);
  expect(hosts()).toEqual([]);
});

test('entries that are one service have the addresses of all, be they written or given', () => {
  const store = newStore();
  const entry = (name: string, addresses: string[], given: string[]): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default', creationTimestamp: `2026-01-0${name === 'older' ? 1 : 2}T00:00:00Z` },
    spec: {
      hosts: ['db.data.global'],
      addresses,
      ports: [{ number: name === 'older' ? 9000 : 9001, name, protocol: 'TCP' }],
      resolution: 'STATIC',
      endpoints: [{ address: '10.9.0.1' }],
    },
    status: { addresses: given.map((value) => ({ host: 'db.data.global', value })) },
  });
  const known = () => [...store.snapshot.index.services.values()].map((s) => [s.addresses, s.allocated]);
  store.apply([upsert('one', entry('older', [], ['240.240.1.1'])), upsert('one', entry('newer', [], []))]);
  expect(known()).toEqual([[[], ['240.240.1.1']]]);
  // The DNS goes on answering with what the older one was given.
  store.apply([upsert('one', entry('newer', ['10.1.1.1'], []))]);
  expect(known()).toEqual([[['10.1.1.1', '240.240.1.1'], undefined]]);
});

test('a host that is written into an entry later shares its addresses as one does that was there from the first', () => {
  const store = newStore();
  const entry = (...hosts: string[]): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name: 'shop', namespace: 'default' },
    spec: {
      hosts,
      addresses: ['240.0.0.1'],
      ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
      resolution: 'STATIC',
      endpoints: [{ address: '10.9.0.1' }],
    },
  });
  expect(store.apply([upsert('one', entry('shop.example'))]).diagnostics).toEqual([]);
  expect(store.apply([upsert('one', entry('shop.example', 'pay.example'))]).diagnostics).toEqual([]);
});

test('a ConfigMap that contradicts the control plane is warned of', () => {
  const store = newStore();
  expect(store.apply([upsert('one', config('trustDomain: cluster.local'))]).diagnostics).toEqual([]);
  const { diagnostics } = store.apply([upsert('one', config('trustDomain: example.org'))]);
  expect(diagnostics.map((d) => `${d.code} ${d.field}`)).toEqual(['ISM0005 data.mesh.trustDomain']);
});

test('what is said of objects together stays the very same list, while the index changes elsewhere', () => {
  const store = newStore();
  const rule: KubeObject = {
    apiVersion: 'networking.istio.io/v1',
    kind: 'VirtualService',
    metadata: { name: 'reviews', namespace: 'default' },
    spec: { hosts: ['reviews'], http: [{ route: [{ destination: { host: 'nobody' } }] }] },
  };
  const at = (line: number) => [{ ...upsert('one', rule), locate: () => line }];
  const first = store.apply([upsert('one', service('10.96.0.1')), ...at(7)]);
  expect(first.diagnostics.map(({ code, line }) => [code, line])).toEqual([['ISM0101', 7]]);
  const second = store.apply([
    upsert('one', { ...service('10.96.0.2'), metadata: { name: 'other', namespace: 'default' } }),
  ]);
  expect(second.snapshot.index).not.toBe(first.snapshot.index);
  expect(second.diagnostics).toBe(first.diagnostics);
  // The same text, some lines further down; the index has to change for it to be looked at.
  const third = store.apply([...at(9), upsert('one', service('10.96.0.3'))]);
  expect(third.diagnostics.map(({ code, line }) => [code, line])).toEqual([['ISM0101', 9]]);
});
