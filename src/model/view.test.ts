// SPDX-License-Identifier: Apache-2.0

import { expect, test } from 'vitest';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { clusterName } from '../api/names.ts';
import type { KubeObject } from '../kube/types.ts';
import { hostTable, lookUpHost, qualifyHost } from './hosts.ts';
import type { MeshProxy } from './proxy.ts';
import { MeshStore } from './store.ts';
import { buildView, selectDestinationRule, ViewCache, viewKey } from './view.ts';

function proxyIn(namespace: string, labels: Record<string, string> = {}): MeshProxy {
  return meshProxy({ cluster: clusterName('one'), namespace, labels });
}

function mesh(kind: string, namespace: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { namespace, name }, spec };
}

function indexOf(...objects: KubeObject[]) {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'one' });
  return store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'one', object }))).snapshot.index;
}

const SHOP: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'shop', name: 'cart' },
  spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] },
};
const HOST = 'cart.shop.svc.cluster.local';

/** Name of the DestinationRule that a client in `namespace` has for the service. */
function ruleFor(namespace: string, ...rules: KubeObject[]): string | undefined {
  const view = buildView(indexOf(SHOP, ...rules), proxyIn(namespace), new ViewCache());
  return selectDestinationRule(view, [...view.serviceOf.values()][0]!)?.ref.name;
}

test('a DestinationRule of the client goes before the service’s, and that before the root’s', () => {
  const client = mesh('DestinationRule', 'front', 'client', { host: HOST });
  const own = mesh('DestinationRule', 'shop', 'own', { host: 'cart' });
  const root = mesh('DestinationRule', 'istio-system', 'root', { host: '*.cluster.local' });
  const stranger = mesh('DestinationRule', 'other', 'stranger', { host: HOST });
  expect(ruleFor('front', client, own, root, stranger)).toBe('client');
  expect(ruleFor('front', own, root, stranger)).toBe('own');
  expect(ruleFor('front', root, stranger)).toBe('root');
  expect(ruleFor('front', stranger)).toBeUndefined();
});

test('a rule that is not exported is not the client’s', () => {
  expect(ruleFor('front', mesh('DestinationRule', 'shop', 'own', { host: 'cart', exportTo: ['.'] }))).toBeUndefined();
  expect(ruleFor('shop', mesh('DestinationRule', 'shop', 'own', { host: 'cart', exportTo: ['.'] }))).toBe('own');
});

test('of two entries for one host a proxy sees the one with endpoints in the networks that it requests', () => {
  const entry = (namespace: string, createdAt: string, network: object) => {
    const spec = {
      hosts: ['a.b.global'],
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution: 'STATIC',
      endpoints: [{ address: '172.31.0.120', ...network }, { address: '10.96.0.9' }],
    };
    const object = mesh('ServiceEntry', namespace, 'a', spec);
    return { ...object, metadata: { ...object.metadata, creationTimestamp: createdAt } };
  };
  const index = indexOf(
    entry('old', '2026-01-01T00:00:00Z', {}),
    entry('young', '2026-02-01T00:00:00Z', { network: 'external' }),
  );
  const cache = new ViewCache();
  const seen = (requestedNetworks: string[]) =>
    [...buildView(index, { ...proxyIn('istio-system'), requestedNetworks }, cache).serviceOf.values()].map(
      (s) => s.namespace,
    );
  expect(seen([])).toEqual(['old']);
  expect(seen(['external'])).toEqual(['young']);
});

test('the longest pattern that covers a host comes first', () => {
  const table = hostTable([
    ['*.com', 1],
    ['a.b.com', 2],
    ['*.b.com', 3],
    ['*', 4],
    ['a.b.com', 5],
  ]);
  expect(lookUpHost(table, 'a.b.com')).toEqual([2, 5, 3, 1, 4]);
  expect(lookUpHost(table, 'b.com')).toEqual([1, 4]);
});

test('only names without a dot are short', () => {
  expect(qualifyHost('cart', 'shop', 'cluster.local')).toBe(HOST);
  expect(qualifyHost('cart.shop', 'x', 'cluster.local')).toBe('cart.shop');
  expect(qualifyHost('*', 'x', 'cluster.local')).toBe('*');
});

test('proxies share a view unless a rule asks for a label in which they differ', () => {
  const rule = (match: object) =>
    mesh('VirtualService', 'shop', 'cart', {
      hosts: ['cart'],
      http: [{ match: [match], route: [{ destination: { host: 'cart' } }] }],
    });
  const keys = (index: ReturnType<typeof indexOf>) => {
    const cache = new ViewCache();
    const labels = [
      { app: 'a', tier: 'x' },
      { app: 'b', tier: 'x' },
      { app: 'a', tier: 'y' },
    ];
    return new Set(labels.map((l) => viewKey(index, proxyIn('front', l), cache))).size;
  };
  expect(keys(indexOf(SHOP, rule({ uri: { prefix: '/a' } })))).toBe(1);
  expect(keys(indexOf(SHOP, rule({ sourceLabels: { tier: 'x' } })))).toBe(2);
});
