// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { newStore, upsert } from '#test/fixture/mesh-store.ts';
import type { KubeObject } from '../kube/types.ts';
import type { MeshIndex } from '../model/snapshot.ts';
import { buildView, ViewCache } from '../model/view.ts';
import { IntentCache } from './build.ts';

function service(name: string, spec: object): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'default', name }, spec };
}

function rule(kind: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { namespace: 'default', name }, spec };
}

const alias = (name: string, of: string) =>
  service(name, { type: 'ExternalName', externalName: `${of}.default.svc.cluster.local` });

test('a hash behind other names of a service reaches the routes that lead to these, whenever it comes', () => {
  const store = newStore();
  const [views, intents] = [new ViewCache(), new IntentCache()];
  const hashesOf = (index: MeshIndex) => {
    const view = buildView(index, meshProxy({ id: 'client' }), views);
    const table = intents.sidecar(view).outbound.httpPorts.get('_80')!.table;
    const { routes } = table.hosts.get('front.default.svc.cluster.local')!;
    return routes.flatMap(({ action }) => (action.kind === 'forward' ? (action.hashes ?? []) : []));
  };
  const hashed = (httpHeaderName: string) =>
    rule('DestinationRule', 'shop', {
      host: 'shop',
      trafficPolicy: { loadBalancer: { consistentHash: { httpHeaderName } } },
    });
  const ports = [{ name: 'http', port: 80 }];
  const objects = [
    service('front', { clusterIP: '10.96.0.1', ports }),
    service('shop', { clusterIP: '10.96.0.2', ports }),
    alias('old', 'shop'),
    alias('older', 'old'),
    rule('VirtualService', 'front', {
      hosts: ['front'],
      http: [{ route: [{ destination: { host: 'older', port: { number: 80 } } }] }],
    }),
  ];
  expect(hashesOf(store.apply(objects.map(upsert)).snapshot.index)).toEqual([]);
  for (const name of ['x-user', 'x-cart']) {
    expect(hashesOf(store.apply([upsert(hashed(name))]).snapshot.index)).toEqual([{ kind: 'header', name }]);
  }
});
