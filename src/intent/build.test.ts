// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { newStore, remove, upsert } from '#test/fixture/mesh-store.ts';
import type { KubeObject } from '../kube/types.ts';
import type { MeshIndex } from '../model/snapshot.ts';
import { buildView, ViewCache } from '../model/view.ts';
import { IntentCache } from './build.ts';

const NAMESPACES = ['alpha', 'beta', 'istio-system'] as const;
const PROXIES = [...NAMESPACES, 'gamma'].map((namespace) => meshProxy({ id: namespace, namespace }));
const namespace = fc.constantFrom(...NAMESPACES);
const exportTo = fc.constantFrom(['*'], ['*'], ['*'], ['.']);

/** A Service of one of two names, or a DestinationRule of any namespace for one. */
const object = fc
  .record({
    kind: fc.constantFrom('Service', 'DestinationRule', 'DestinationRule'),
    ...{ namespace, exportTo, of: namespace, isWide: fc.constantFrom(false, false, true) },
    host: fc.constantFrom('cart', 'orders'),
  })
  .map(({ kind, namespace, exportTo, of, isWide, host }): KubeObject => {
    if (kind === 'Service') {
      const annotations = { 'networking.istio.io/exportTo': exportTo.join() };
      const spec = { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] };
      return { apiVersion: 'v1', kind, metadata: { namespace, name: host, annotations }, spec };
    }
    const full = isWide ? `*.${of}.svc.cluster.local` : `${host}.${of}.svc.cluster.local`;
    const spec = { host: full, exportTo, subsets: [{ name: `of-${namespace}`, labels: { version: 'v1' } }] };
    const metadata = { namespace, name: isWide ? `all-${of}` : `${host}-${of}` };
    return { apiVersion: 'networking.istio.io/v1', kind, metadata, spec };
  });

/** Of each proxy its destinations: with what the caches have of others, and as if there were no others. */
function destinationsOf(index: MeshIndex, views: ViewCache, intents: IntentCache) {
  return PROXIES.map((proxy) => {
    const view = buildView(index, proxy, views);
    const alone = { ...buildView(index, proxy, new ViewCache()), anywhere: undefined };
    const [shared, own] = [intents.sidecar(view), new IntentCache().sidecar(alone)];
    const named = {
      shared: intents.named(view, shared, []),
      own: new IntentCache().named(alone, own, []),
    };
    return { view, shared: shared.destinations, own: own.destinations, named };
  });
}

test('clients of several namespaces share the destinations that are the same for them, and no others', () => {
  const steps = fc.array(fc.record({ object, isRemoved: fc.boolean() }), { maxLength: 12 });
  let [sharing, apart] = [0, 0];
  fc.assert(
    fc.property(steps, (changes) => {
      const store = newStore();
      const [views, intents] = [new ViewCache(), new IntentCache()];
      for (const { object, isRemoved } of changes) {
        const { index } = store.apply([isRemoved ? remove(object) : upsert(object)]).snapshot;
        // Whoever was looked at before another one went its own way is with those that stay when it is looked at again.
        destinationsOf(index, views, intents);
        const all = destinationsOf(index, views, intents);
        for (const { shared, own, named } of all) {
          expect(new Map(shared)).toEqual(new Map(own));
          expect(new Map(named.shared)).toEqual(new Map(named.own));
        }
        const [first, ...others] = all.filter(({ view, own }) => view.anywhere !== undefined && own.size > 0);
        for (const other of others) {
          other.shared === first!.shared ? sharing++ : apart++;
          if (other.shared !== first!.shared || !isDeepStrictEqual(other.named.own, first!.named.own)) continue;
          expect(other.named.shared).toBe(first!.named.shared);
        }
      }
    }),
    { seed: 20260101, numRuns: 60 },
  );
  expect(sharing).toBeGreaterThan(100);
  expect(apart).toBeGreaterThan(10);
});
