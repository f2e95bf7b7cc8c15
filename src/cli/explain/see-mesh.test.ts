// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { RemoteRegistry } from '../analyze/remote-secrets.ts';
import { rulersOf, type SeenCluster } from './see-mesh.ts';

const registry = (name: string, server: string): RemoteRegistry => ({
  name,
  secret: { apiVersion: 'v1', kind: 'Secret', namespace: 'istio-system', name },
  config: { server: `https://${server}:6443` },
});

function seen(id: string, role: 'primary' | 'remote', clusterName: string | undefined, registries: RemoteRegistry[]) {
  const target = { client: { server: `https://${id}:6443` }, caPem: undefined };
  return { id, target, installation: { role, clusterName, registries } } as unknown as SeenCluster;
}

test('a cluster without a control plane is ruled by the one that watches it, and called as that calls it', () => {
  const { planes, meshNames, watches } = rulersOf([
    seen('ctx-a', 'primary', 'one', [registry('far', 'ctx-c'), registry('two', 'ctx-b')]),
    seen('ctx-b', 'primary', 'two', []),
    seen('ctx-c', 'remote', undefined, []),
  ]);
  expect([...planes]).toEqual([
    ['ctx-a', 'ctx-a'],
    ['ctx-b', 'ctx-b'],
    ['ctx-c', 'ctx-a'],
  ]);
  expect([...meshNames.values()]).toEqual(['one', 'two', 'far']);
  expect(watches.get('ctx-a')).toEqual([
    { cluster: 'ctx-c', name: 'far' },
    { cluster: 'ctx-b', name: 'two' },
  ]);
});
