// SPDX-License-Identifier: Apache-2.0
// What of a mesh is pushed to a sidecar that fetches the rest, and what it may ask for.

import { fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { VirtualHostSchema } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import type { ConfigDelivery } from '../src/api/config-delivery.ts';
import { clusterName } from '../src/api/names.ts';
import { TYPE_URL } from '../src/envoy/names.ts';
import type { KubeObject } from '../src/kube/types.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { serviceEntry, virtualService } from './on-demand/backends.ts';

const http = (host: string): KubeObject => serviceEntry(host, { port: 80, protocol: 'HTTP', backends: [{ port: 1 }] });
const MESH: readonly KubeObject[] = [
  http('a.example.com'),
  http('b.example.com'),
  http('shadow.example.com'),
  http('*.wide.net'),
  http('narrow.wide.net'),
  serviceEntry('tcp.example.com', { port: 7000, protocol: 'TCP', backends: [{ port: 1 }] }),
  {
    ...http('dns.example.com'),
    spec: { hosts: ['dns.example.com'], ports: [{ number: 80, name: 'http', protocol: 'HTTP' }], resolution: 'DNS' },
  },
  virtualService('a.example.com', [
    {
      match: [{ uri: { prefix: '/only' } }],
      route: [{ destination: { host: 'a.example.com' } }],
      mirror: { host: 'shadow.example.com' },
    },
  ]),
];

function compile(delivery: ConfigDelivery) {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'c1' });
  const { snapshot } = store.apply(MESH.map((object) => ({ kind: 'upsert', cluster: 'c1', object })));
  const proxy = meshProxy({ cluster: clusterName('c1'), ip: '10.0.0.1', delivery });
  return compileProxy(snapshot, proxy, new CompileCache());
}

const namesOf = (map: ReadonlyMap<string, unknown> | undefined): string[] => [...(map?.keys() ?? [])].sort();

test('clusters that no request asks for are pushed: of TCP, of mirrors, and those that Envoy looks up itself', () => {
  const { desired, offered } = compile('CLUSTERS_ON_DEMAND');
  expect(namesOf(desired.get(TYPE_URL.cluster)).filter((name) => name.startsWith('outbound'))).toEqual([
    'outbound|7000||tcp.example.com',
    'outbound|80||dns.example.com',
    'outbound|80||shadow.example.com',
  ]);
  const clusters = offered.get(TYPE_URL.cluster)!;
  expect(clusters.resources.has('outbound|80||a.example.com')).toBe(true);
  expect(clusters.standIn?.('outbound|80|v9|a.example.com')?.name).toBe('outbound|80|v9|a.example.com');
  expect(clusters.standIn?.('elsewhere')).toBeUndefined();
});

test('virtual hosts are pushed by themselves, or offered but for those that a wildcard would shadow', () => {
  const pushed = compile('CLUSTERS_ON_DEMAND');
  const all = namesOf(pushed.desired.get(TYPE_URL.virtualHost));
  expect(all).toContain('80/a.example.com:80');
  expect(all).toContain('80/narrow.wide.net:80');
  const asked = compile('ALL_ON_DEMAND');
  expect(namesOf(asked.desired.get(TYPE_URL.virtualHost))).toEqual(['80/narrow.wide.net:80']);
  const offer = asked.offered.get(TYPE_URL.virtualHost)!;
  expect(namesOf(offer.resources)).toEqual(all);
  expect(offer.resolve?.('80/A.example.com:8080')).toBe('80/a.example.com:80');
  expect(offer.resolve?.('80/x.wide.net')).toBe('80/*.wide.net:80');
  expect(['80/nobody', '90/a.example.com', 'a.example.com'].map((name) => offer.resolve?.(name))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test('a virtual host has the name of its resource, and an answer for paths without a route', () => {
  const resource = compile('CLUSTERS_ON_DEMAND').desired.get(TYPE_URL.virtualHost)?.get('80/a.example.com:80');
  const host = fromBinary(VirtualHostSchema, resource!.value);
  expect(host.name).toBe(resource!.name);
  expect(host.routes.map((route) => route.action.case)).toEqual(['route', 'directResponse']);
  const plain = compile('CLUSTERS_ON_DEMAND').desired.get(TYPE_URL.virtualHost)?.get('80/b.example.com:80');
  expect(fromBinary(VirtualHostSchema, plain!.value).routes).toHaveLength(1);
});

test('everything is pushed where nothing else is asked for', () => {
  const { desired, offered } = compile('FULL');
  expect(offered.size).toBe(0);
  expect(desired.has(TYPE_URL.virtualHost)).toBe(false);
  expect(desired.get(TYPE_URL.cluster)?.has('outbound|80||a.example.com')).toBe(true);
});
