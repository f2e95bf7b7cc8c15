// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { TYPE_URL } from '../../envoy/names.ts';
import type { MeshProxy } from '../../model/proxy.ts';
import { MeshStore } from '../../model/store.ts';
import { MeshEngine } from '../mesh-engine.ts';
import { AdsBackend } from './ads-backend.ts';
import type { Refusal } from './refusals.ts';

const trustDomain = 'cluster.local';
const POD = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p', namespace: 'shop', labels: { app: 'shop' } },
  status: { podIP: '10.1.0.1' },
};
const PEER = {
  trustDomain,
  clusterName: 'c1',
  namespace: 'shop',
  serviceAccount: 'default',
  podName: 'p',
  podUid: '1-2-3',
  expiresAtMs: Number.POSITIVE_INFINITY,
};
const NODE = {
  id: 'router~10.1.0.1~p.shop~shop.svc.cluster.local',
  cluster: '',
  metadata: { LABELS: { istio: 'ingressgateway', 'istio-locality': 'eu.a' } },
  userAgentVersion: '1.40.0',
};

/** With one pod; of its proxies it says what they are compiled for. */
function start() {
  const settings = { trustDomain, dnsDomain: 'cluster.local', rootNamespace: 'istio-system', configCluster: 'c1' };
  const compiled: MeshProxy[] = [];
  const refusals: Refusal[] = [];
  const compile = (_: unknown, proxy: MeshProxy) => {
    compiled.push(proxy);
    return { desired: new Map(), secrets: [], origins: () => [] };
  };
  const engine = new MeshEngine({ store: new MeshStore(settings), compile, clusters: [] });
  const source = engine.listener('test');
  source.events([{ kind: 'upsert', cluster: 'c1', object: POD }]);
  const told = {
    onRefusal: (refusal: Refusal) => refusals.push(refusal),
    onRefusalError: (error: Error) => {
      throw error;
    },
  };
  const backend = new AdsBackend({ engine, trustDomain, cluster: 'c1', identity: 'token', ...told });
  return { backend, source, compiled, refusals };
}

test('a proxy that proves its pod has the labels of the pod, and keeps them when it is gone, whatever it says', async () => {
  const { backend, source, compiled } = start();
  const proxy = await backend.connect(PEER, NODE, () => {});
  proxy.desired();
  source.events([{ kind: 'delete', cluster: 'c1', object: POD }]);
  proxy.desired();
  proxy.closed();
  expect(compiled.map(({ labels, locality }) => ({ labels, locality }))).toEqual([
    { labels: { app: 'shop' }, locality: '' },
    { labels: { app: 'shop' }, locality: '' },
  ]);
});

test('whatever ids a pod gives its nodes, its refusals are those of one client', async () => {
  const { backend, refusals } = start();
  for (const domain of ['a', 'b']) {
    const proxy = await backend.connect(PEER, { ...NODE, id: `sidecar~10.1.0.1~p.shop~${domain}` }, () => {});
    proxy.rejected({ typeUrl: TYPE_URL.cluster, resources: new Map([['x', '1']]), nonce: '1', message: 'no' });
    proxy.closed();
  }
  expect(new Set(refusals.map(({ proxy }) => proxy)).size).toBe(2);
  expect(refusals.map(({ client }) => client)).toEqual(['c1/1-2-3', 'c1/1-2-3']);
});
