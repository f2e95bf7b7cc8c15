// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { tellUnwatched, type WatchableCluster } from './watching.ts';

const secret = { apiVersion: 'v1', kind: 'Secret', namespace: 'istio-system', name: 's' };
const cluster = (context: string, role: 'primary' | 'remote', ...watches: string[]): WatchableCluster => ({
  context,
  server: `https://${context}:6443`,
  caPem: context,
  installation: {
    role,
    registries: watches.map((name) => ({ name, secret, config: { server: `https://${name}:6443` } })),
  },
});
const said = (...clusters: WatchableCluster[]) =>
  tellUnwatched(clusters).map(({ code, object, message }) => `${code} ${object.cluster}: ${message}`);

test('a cluster without a control plane that none watches', () => {
  expect(said(cluster('c1', 'primary', 'c3'), cluster('c2', 'remote'), cluster('c3', 'remote'))).toEqual([
    'ISM0314 c2: it has no control plane of its own, and that of c1 does not watch it: its proxies are refused',
  ]);
});

test('nothing where all are watched, or have their own, or nobody is there who could', () => {
  expect(said(cluster('c1', 'primary', 'c2'), cluster('c2', 'remote'))).toEqual([]);
  expect(said(cluster('c1', 'primary'), cluster('c2', 'primary'))).toEqual([]);
  expect(said(cluster('c2', 'remote'), cluster('c3', 'remote'))).toEqual([]);
});
