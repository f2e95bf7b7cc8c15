// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { newStore, upsert } from '#test/fixture/mesh-store.ts';
import type { KubeObject } from '../kube/types.ts';
import type { MeshIndex } from '../model/snapshot.ts';
import { buildView, ViewCache } from '../model/view.ts';
import { buildIntent, IntentCache } from './build.ts';
import { SecretUseCache, secretsOf } from './secrets.ts';

const HOST = 'cart.alpha.svc.cluster.local';

function serviceOf(name: string): KubeObject {
  const spec = { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] };
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'alpha', name }, spec };
}

/** What clients of one namespace send to the host goes to the subset. */
const RULE: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { namespace: 'alpha', name: 'by-client' },
  spec: {
    hosts: [HOST],
    http: [
      { match: [{ sourceNamespace: 'alpha' }], route: [{ destination: { host: HOST, subset: 'v1' } }] },
      { route: [{ destination: { host: HOST } }] },
    ],
  },
};

const SUBSETS: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'DestinationRule',
  metadata: { namespace: 'alpha', name: 'cart' },
  spec: { host: HOST, subsets: [{ name: 'v1', labels: { version: 'v1' } }] },
};

test('of namespaces that part, each has its own names from then on, and the same as long as nothing changes', () => {
  const store = newStore();
  const intents = new IntentCache();
  const views = new ViewCache();
  const [alpha, beta] = ['alpha', 'beta'].map((namespace) => meshProxy({ id: namespace, namespace }));
  const named = (index: MeshIndex, proxy: typeof alpha) => {
    const view = buildView(index, proxy!, views);
    return intents.named(view, intents.sidecar(view), []);
  };
  const alike = store.apply([upsert(serviceOf('cart')), upsert(serviceOf('orders')), upsert(SUBSETS)]).snapshot.index;
  expect(named(alike, beta)).toBe(named(alike, alpha));

  const apart = store.apply([upsert(RULE)]).snapshot.index;
  const ofAlpha = named(apart, alpha);
  const ofBeta = named(apart, beta);
  expect(ofAlpha.has(`proxy|${HOST}|80|v1`)).toBe(true);
  expect(ofBeta.has(`proxy|${HOST}|80|v1`)).toBe(false);
  // Whoever of them is looked at next.
  expect(named(apart, alpha)).toBe(ofAlpha);
  expect(named(apart, beta)).toBe(ofBeta);
});

test('the keys of a destination that nothing names go on being given: a proxy that was given the cluster keeps it', () => {
  const toV1 = { ...RULE, spec: { hosts: [HOST], http: [{ route: [{ destination: { host: HOST, subset: 'v1' } }] }] } };
  const secured: KubeObject = {
    ...SUBSETS,
    spec: {
      host: HOST,
      workloadSelector: { matchLabels: { app: 'shop' } },
      trafficPolicy: { tls: { mode: 'SIMPLE', credentialName: 'roots' } },
      subsets: [{ name: 'v1', labels: { version: 'v1' }, trafficPolicy: { tls: { mode: 'DISABLE' } } }],
    },
  };
  const { index } = newStore().apply([serviceOf('cart'), secured, toV1].map(upsert)).snapshot;
  const proxy = meshProxy({ namespace: 'alpha', labels: { app: 'shop' } });
  const view = buildView(index, proxy, new ViewCache());
  const intent = buildIntent({ index, view, proxy, workload: undefined, isPatched: false }, new IntentCache());
  expect([...intent.destinations.keys()]).toEqual([`proxy|${HOST}|80|v1`]);
  expect(secretsOf(intent, new SecretUseCache())).toMatchObject([{ what: 'roots', source: { name: 'roots' } }]);
});
