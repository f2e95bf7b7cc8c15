// SPDX-License-Identifier: Apache-2.0
// An engine that has followed any sequence of changes holds what one holds that was started just now: resource by resource,
// for sidecars and gateways, and what it says of the objects. Seeds are fixed; `make test-all` runs more of them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clusterName } from '../src/api/names.ts';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import type { MeshSnapshot } from '../src/model/snapshot.ts';
import { MeshStore, type StoreEvent } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { arbitraryMesh } from './scenarios/arbitrary-mesh.ts';

const FACTOR = process.env['ISTHMUS_TEST_ALL'] === undefined ? 1 : 100;

const PROXIES: readonly MeshProxy[] = [
  proxy('sidecar', 'alpha', 'reviews-v1', { app: 'reviews', version: 'v1' }),
  proxy('sidecar', 'alpha', 'other', { app: 'other' }),
  proxy('sidecar', 'beta', 'orders-v2', { app: 'orders', version: 'v2' }),
  proxy('gateway', 'gamma', 'ingress-1', { app: 'ingress', istio: 'ingressgateway' }),
];

function proxy(kind: MeshProxy['kind'], namespace: string, podName: string, labels: Record<string, string>): MeshProxy {
  return {
    id: podName,
    kind,
    cluster: clusterName('cluster1'),
    namespace,
    podName,
    ip: '10.1.0.1',
    labels,
    serviceAccount: 'default',
    network: '',
    requestedNetworks: [],
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
  };
}

function newStore(): MeshStore {
  return new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'cluster1',
  });
}

const upsert = (object: KubeObject): StoreEvent => ({ kind: 'upsert', cluster: 'cluster1', object });
const remove = (object: KubeObject): StoreEvent => ({ kind: 'delete', cluster: 'cluster1', object });
const nameOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.namespace}/${metadata.name}`;

/** Every resource of every proxy: proxy, type, name, version. */
function resourcesOf(snapshot: MeshSnapshot, cache: CompileCache): string[] {
  return PROXIES.flatMap((p) =>
    [...compileProxy(snapshot, p, cache).desired.values()].flatMap((resources) =>
      [...resources.values()].map((r) => `${p.id} ${r.typeUrl} ${r.name} ${r.version}`).sort(),
    ),
  );
}

/** Batches of changes among the objects of several meshes, which share names, so that objects change as well as come and go. */
const sequences = fc.array(arbitraryMesh, { minLength: 2, maxLength: 3 }).chain((meshes) => {
  const objects = meshes.flat();
  const step = fc.record({ object: fc.constantFrom(...objects), isThere: fc.boolean() });
  return fc.record({
    start: fc.constant(meshes[0]!),
    batches: fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 8 }),
  });
});

describe('following changes', { timeout: 120_000 * FACTOR }, () => {
  test('gives what starting anew gives', () => {
    let changes = 0;
    fc.assert(
      fc.property(sequences, ({ start, batches }) => {
        const store = newStore();
        const cache = new CompileCache();
        const present = new Map<string, KubeObject>(start.map((object) => [nameOf(object), object]));
        let { snapshot } = store.apply([...present.values()].map(upsert));
        resourcesOf(snapshot, cache);
        for (const batch of batches) {
          const events = batch.map(({ object, isThere }) => {
            if (isThere) present.set(nameOf(object), object);
            else present.delete(nameOf(object));
            return isThere ? upsert(object) : remove(object);
          });
          const before = snapshot;
          const followed = store.apply(events);
          snapshot = followed.snapshot;
          if (snapshot !== before) changes++;
          const fresh = newStore();
          const anew = fresh.apply([...present.values()].map(upsert));
          expect(resourcesOf(snapshot, cache)).toEqual(resourcesOf(anew.snapshot, new CompileCache()));
          expect(followed.diagnostics).toEqual(anew.diagnostics);
        }
      }),
      { numRuns: 60 * FACTOR, seed: 20260102 },
    );
    // Sequences that change nothing would prove nothing.
    expect(changes).toBeGreaterThan(60);
  });

  test('an earlier state can still be asked for, and the way back to the latest', () => {
    fc.assert(
      fc.property(sequences, ({ start, batches }) => {
        const store = newStore();
        const cache = new CompileCache();
        const states = [store.apply(start.map(upsert)).snapshot];
        const seen = [resourcesOf(states[0]!, cache)];
        for (const batch of batches) {
          states.push(
            store.apply(batch.map(({ object, isThere }) => (isThere ? upsert(object) : remove(object)))).snapshot,
          );
          seen.push(resourcesOf(states.at(-1)!, cache));
        }
        for (const at of [0, states.length - 1, Math.floor(states.length / 2)]) {
          expect(resourcesOf(states[at]!, cache)).toEqual(seen[at]);
        }
      }),
      { numRuns: 20 * FACTOR, seed: 20260103 },
    );
  });
});
