// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { MeshProxy } from '../../model/proxy.ts';
import { MeshStore } from '../../model/store.ts';
import { MeshEngine } from '../mesh-engine.ts';
import { AdsBackend } from './ads-backend.ts';

test('a proxy that proves its pod has the labels of the pod, and keeps them when it is gone, whatever it says', async () => {
  const store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'c1',
  });
  const compiled: MeshProxy[] = [];
  const compile = (_: unknown, proxy: MeshProxy) => {
    compiled.push(proxy);
    return { desired: new Map(), secrets: [], origins: () => [] };
  };
  const engine = new MeshEngine({ store, compile, clusters: [] });
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'shop', labels: { app: 'shop' } },
    status: { podIP: '10.1.0.1' },
  };
  const source = engine.listener('test');
  source.events([{ kind: 'upsert', cluster: 'c1', object: pod }]);
  const trustDomain = 'cluster.local';
  const backend = new AdsBackend({ engine, trustDomain, cluster: 'c1', identity: 'token', onRefusal: () => {} });
  const peer = {
    trustDomain,
    clusterName: 'c1',
    namespace: 'shop',
    serviceAccount: 'default',
    podName: 'p',
    podUid: '',
  };
  const node = {
    id: 'router~10.1.0.1~p.shop~shop.svc.cluster.local',
    cluster: '',
    metadata: { LABELS: { istio: 'ingressgateway', 'istio-locality': 'eu.a' } },
    userAgentVersion: '1.40.0',
  };
  const proxy = await backend.connect({ ...peer, expiresAtMs: Number.POSITIVE_INFINITY }, node, () => {});
  proxy.desired();
  source.events([{ kind: 'delete', cluster: 'c1', object: pod }]);
  proxy.desired();
  proxy.closed();
  expect(compiled.map(({ labels, locality }) => ({ labels, locality }))).toEqual([
    { labels: { app: 'shop' }, locality: '' },
    { labels: { app: 'shop' }, locality: '' },
  ]);
});
