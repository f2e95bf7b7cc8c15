// SPDX-License-Identifier: Apache-2.0
import { expect, test, vi } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { MeshStore } from '../../model/store.ts';
import { createLog } from '../log.ts';
import { EntryNames } from './entry-names.ts';

function entry(name: string, addresses: readonly string[], change: object = {}): KubeObject {
  const spec = {
    hosts: [`${name}.ns.global`],
    location: 'MESH_INTERNAL',
    resolution: 'DNS',
    addresses: ['240.0.0.2'],
    ports: [{ name: 'http', number: 80, protocol: 'HTTP' }],
    endpoints: addresses.map((address) => ({ address })),
    ...change,
  };
  return { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name, namespace: 'ns' }, spec };
}

test('names of gateways that lead nowhere are told with their ServiceEntries, and no others', async () => {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'c1' });
  const apply = (...objects: KubeObject[]) =>
    store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'c1', object })));
  apply(
    entry('a', ['gw.lost', 'gw.found']),
    entry('b', ['gw.lost', '172.31.0.120']),
    entry('c', ['gw.unknown']),
    entry('outside', ['api.lost'], { location: 'MESH_EXTERNAL', hosts: ['api.example.com'] }),
  );
  const told: string[] = [];
  const asked = new Map<string, number>();
  const names = new EntryNames({
    trouble: (message) => told.push(message),
    log: createLog('test', 'silent'),
    everyMs: 2,
    resolve: async (name) => {
      asked.set(name, (asked.get(name) ?? 0) + 1);
      if (name === 'gw.found') return ['172.31.0.140'];
      throw Object.assign(new Error(name), { code: name === 'gw.lost' ? 'ENOTFOUND' : 'ETIMEOUT' });
    },
  });
  const end = new AbortController();
  names.take(store.snapshot.index);
  const done = names.run(end.signal);
  await vi.waitFor(() => expect(new Set(told).size).toBe(2), 10_000);
  expect(asked.get('gw.lost')).toBeGreaterThan(1);
  expect(new Set(told)).toEqual(
    new Set([
      'the endpoint gw.lost of ServiceEntry ns/a, ServiceEntry ns/b does not resolve (gw.lost): requests that go there get 503',
      'the endpoint gw.unknown of ServiceEntry ns/c does not resolve (gw.unknown): proxies go on with the addresses that they have, new ones have none',
    ]),
  );
  expect([...asked.keys()].sort()).toEqual(['gw.found', 'gw.lost', 'gw.unknown']);
  apply(entry('a', ['gw.found']), entry('b', ['gw.found']));
  names.take(store.snapshot.index);
  const count = asked.get('gw.lost');
  const found = asked.get('gw.found')!;
  await vi.waitFor(() => expect(asked.get('gw.found')).toBeGreaterThan(found + 2), 10_000);
  expect(asked.get('gw.lost')).toBeLessThanOrEqual(count! + 1);
  end.abort();
  await done;
});
