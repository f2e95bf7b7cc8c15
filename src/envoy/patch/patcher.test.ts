// SPDX-License-Identifier: Apache-2.0

import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { clusterName } from '../../api/names.ts';
import type { KubeObject } from '../../kube/types.ts';
import type { MeshProxy } from '../../model/proxy.ts';
import { MeshStore } from '../../model/store.ts';
import { CompileCache, compileProxy } from '../../pipeline.ts';
import { TYPE_URL } from '../names.ts';

const OPTIONS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };

const proxy = (labels: Record<string, string>, more: Partial<MeshProxy> = {}): MeshProxy =>
  meshProxy({ id: JSON.stringify(labels), cluster: clusterName('c1'), labels, ...more });

const service = (name: string): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', selector: { app: name }, ports: [{ name: 'http', port: 80 }] },
});

const envoyFilter = (name: string, patch: object, selector = { app: 'patched' }): KubeObject => ({
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name, namespace: 'default' },
  spec: { workloadSelector: { labels: selector }, configPatches: [patch] },
});

const onShop = {
  context: 'SIDECAR_OUTBOUND',
  routeConfiguration: { vhost: { name: 'shop.default.svc.cluster.local:80' } },
};
const first = (status: number) =>
  envoyFilter('first', {
    applyTo: 'HTTP_ROUTE',
    match: onShop,
    patch: { operation: 'INSERT_FIRST', value: { match: { prefix: '/' }, direct_response: { status } } },
  });

function meshOf(...objects: KubeObject[]) {
  const store = new MeshStore({ ...OPTIONS, configCluster: 'c1' });
  const apply = (...changed: KubeObject[]) =>
    store.apply(changed.map((object) => ({ kind: 'upsert', cluster: 'c1', object }))).snapshot;
  apply(...objects);
  const cache = new CompileCache();
  return { apply, compile: (p: MeshProxy) => compileProxy(store.snapshot, p, cache) };
}

test('whoever is not selected has the same objects as without filters', () => {
  const mesh = meshOf(service('shop'), service('cart'));
  const plain = proxy({ app: 'plain' });
  const before = mesh.compile(plain).desired;
  mesh.apply(first(203));
  expect(mesh.compile(plain).desired).toBe(before);
  expect(mesh.compile(plain).patches).toBeUndefined();
});

test('what no patch concerns stays the same object, and what is patched is shared and kept', () => {
  const mesh = meshOf(service('shop'), service('cart'), first(203));
  const unpatched = mesh.compile(proxy({ app: 'plain' })).desired;
  const one = mesh.compile(proxy({ app: 'patched' })).desired;
  const other = mesh.compile(proxy({ app: 'patched', pod: '2' })).desired;
  const [table, again] = [one, other].map((state) => state.get(TYPE_URL.routes)!.get('80'));
  expect(table).toBe(again);
  expect(table!.version).not.toBe(unpatched.get(TYPE_URL.routes)!.get('80')!.version);
  for (const type of [TYPE_URL.cluster, TYPE_URL.endpoints, TYPE_URL.listener]) {
    expect(one.get(type)!.size).toBeGreaterThan(0);
    for (const [name, resource] of one.get(type)!) expect(resource, name).toBe(unpatched.get(type)!.get(name));
  }
});

test('a change of one filter, or of one service, is followed', () => {
  const mesh = meshOf(service('shop'), first(203));
  const patched = proxy({ app: 'patched' });
  const version = () => mesh.compile(patched).desired.get(TYPE_URL.routes)!.get('80')!.version;
  const versions = [version()];
  mesh.apply(first(204));
  versions.push(version());
  mesh.apply(service('cart'));
  versions.push(version());
  expect(new Set(versions).size).toBe(3);
  mesh.apply(first(204));
  expect(version()).toBe(versions[2]);
});

test('virtual hosts that are asked for one by one are patched like those of a table', () => {
  const mesh = meshOf(service('shop'), service('cart'), first(203));
  const fetching = { delivery: 'ALL_ON_DEMAND' } as const;
  const { desired, offered } = mesh.compile(proxy({ app: 'patched' }, fetching));
  const plain = mesh.compile(proxy({ app: 'plain' }, fetching));
  const hosts = offered.get(TYPE_URL.virtualHost)!.resources;
  const shop = hosts.get('80/shop.default.svc.cluster.local:80')!;
  const [route] = fromBinary(VirtualHostSchema, shop.value).routes;
  expect(route?.action).toMatchObject({ case: 'directResponse', value: { status: 203 } });
  const cart = '80/cart.default.svc.cluster.local:80';
  expect(hosts.get(cart)).toBe(plain.offered.get(TYPE_URL.virtualHost)!.resources.get(cart));
  expect([...desired.get(TYPE_URL.cluster)!.keys()]).toEqual([...plain.desired.get(TYPE_URL.cluster)!.keys()]);
  expect(mesh.compile(proxy({ app: 'patched' }, fetching)).patches!.idle()).toEqual([]);
});

test('a listener that a patch leads to a cluster has it, although nothing asks for it', () => {
  const lead = envoyFilter('lead', {
    applyTo: 'LISTENER',
    match: { context: 'SIDECAR_OUTBOUND', listener: { name: 'virtualOutbound' } },
    patch: {
      operation: 'MERGE',
      value: {
        default_filter_chain: {
          filters: [
            {
              name: 'envoy.filters.network.tcp_proxy',
              typed_config: {
                '@type': 'type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy',
                stat_prefix: 'led',
                cluster: 'outbound|80||shop.default.svc.cluster.local',
              },
            },
          ],
        },
      },
    },
  });
  const mesh = meshOf(service('shop'), service('cart'), lead);
  const pushed = (labels: Record<string, string>) => [
    ...mesh
      .compile(proxy(labels, { delivery: 'ALL_ON_DEMAND' }))
      .desired.get(TYPE_URL.cluster)!
      .keys(),
  ];
  expect(pushed({ app: 'plain' })).not.toContain('outbound|80||shop.default.svc.cluster.local');
  expect(pushed({ app: 'patched' })).toContain('outbound|80||shop.default.svc.cluster.local');
  expect(pushed({ app: 'patched' })).not.toContain('outbound|80||cart.default.svc.cluster.local');
});

test('a patch is behind what it changed and what it added, and idle where it found nothing', () => {
  const added = envoyFilter('added', {
    applyTo: 'CLUSTER',
    patch: { operation: 'ADD', value: { name: 'mine', connect_timeout: '1s' } },
  });
  const lost = envoyFilter('lost', {
    applyTo: 'CLUSTER',
    match: { cluster: { name: 'nobody' } },
    patch: { operation: 'REMOVE' },
  });
  const gone = envoyFilter('gone', {
    applyTo: 'CLUSTER',
    match: { cluster: { service: 'cart.default.svc.cluster.local' } },
    patch: { operation: 'REMOVE' },
  });
  const mesh = meshOf(service('shop'), service('cart'), first(203), added, lost, gone);
  const { origins, patches, desired } = mesh.compile(proxy({ app: 'patched' }));
  const behind = (type: string, name: string) =>
    origins(type, name)
      .filter(({ object }) => object.kind === 'EnvoyFilter')
      .map(({ object }) => object.name);
  expect(behind(TYPE_URL.routes, '80')).toEqual(['first']);
  expect(behind(TYPE_URL.cluster, 'mine')).toEqual(['added']);
  expect(behind(TYPE_URL.cluster, 'outbound|80||shop.default.svc.cluster.local')).toEqual([]);
  expect(desired.get(TYPE_URL.cluster)!.has('outbound|80||cart.default.svc.cluster.local')).toBe(false);
  expect(patches!.idle().map(({ object }) => object.name)).toEqual(['lost']);
});

test('what a patch finds is told pod by pod, though their resources have the same names', () => {
  const serving = (name: string, port: number): KubeObject => ({
    ...service(name),
    spec: { clusterIP: '10.96.0.9', selector: { part: name }, ports: [{ name: 'http', port }] },
  });
  const on8080 = envoyFilter('on-8080', {
    applyTo: 'NETWORK_FILTER',
    match: { context: 'SIDECAR_INBOUND', listener: { filterChain: { destinationPort: 8080 } } },
    patch: {
      operation: 'INSERT_FIRST',
      value: {
        name: 'envoy.filters.network.sni_cluster',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.network.sni_cluster.v3.SniCluster' },
      },
    },
  });
  const mesh = meshOf(serving('one', 8080), serving('two', 9090), on8080);
  const one = mesh.compile(proxy({ app: 'patched', part: 'one' }));
  const two = mesh.compile(proxy({ app: 'patched', part: 'two' }));
  const inbound = (compiled: typeof one) => compiled.origins(TYPE_URL.listener, 'virtualInbound').length;
  expect([one, two].map(({ patches }) => patches!.idle().length)).toEqual([0, 1]);
  expect(inbound(one) - inbound(two)).toBe(1);
});
