// SPDX-License-Identifier: Apache-2.0
// Laws of the compile stages, on random meshes. Seeds are fixed; `make test-all` runs more of them.

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { validateObject } from '../src/api/validate.ts';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshSnapshot } from '../src/model/snapshot.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { keysIn } from './fields/shown.ts';
import { rounds } from './fixture/counts.ts';
import { newStore, remove, resourcesOf, upsert } from './fixture/mesh-store.ts';
import { anyMesh, generator, inventory, isValid, PROXIES } from './scenarios/any-mesh.ts';
import { arbitraryMesh } from './scenarios/arbitrary-mesh.ts';

const FACTOR = rounds(1, 100);
const runs = (count: number) => ({ numRuns: count * FACTOR, seed: 20260101 });

/** Random EnvoyFilters are patches that were tried; no list of revoked certificates can be made here. */
const NOT_RANDOM = /\.EnvoyFilter\.|\.caCrl$/;

function compiled(snapshot: MeshSnapshot, cache = new CompileCache()): string[] {
  return resourcesOf(PROXIES, snapshot, cache);
}

describe('laws of the compile stages', { timeout: 60_000 * FACTOR }, () => {
  test('random objects are valid by themselves', () => {
    fc.assert(
      fc.property(arbitraryMesh, (objects) => {
        const errors = objects.flatMap((o) => validateObject(o)).filter((d) => d.severity === 'error');
        expect(errors).toEqual([]);
      }),
      runs(50),
    );
  });

  test('most random objects of each kind are valid, and all fields are in some of them', () => {
    const seen = new Set<string>();
    for (const kind of generator.kinds) {
      const objects = fc.sample(generator.object(kind), { numRuns: 600, seed: 20260103 });
      const valid = objects.filter(isValid);
      expect(valid.length, kind).toBeGreaterThan(200);
      for (const object of valid) for (const key of keysIn(inventory, object)) seen.add(key);
    }
    const all = generator.kinds.flatMap((kind) => generator.keys(kind));
    expect(new Set(all.filter((key) => !seen.has(key) && !NOT_RANDOM.test(key)))).toEqual(new Set());
  });

  test('the order of events is irrelevant, and so is how they are bundled', () => {
    const shuffled = anyMesh.chain((objects) =>
      fc.tuple(fc.constant(objects), fc.shuffledSubarray(objects, { minLength: objects.length })),
    );
    fc.assert(
      fc.property(shuffled, ([objects, others]) => {
        const together = newStore().apply(objects.map(upsert));
        const store = newStore();
        for (const object of others) store.apply([upsert(object)]);
        const apart = store.apply([]);
        expect(compiled(apart.snapshot)).toEqual(compiled(together.snapshot));
        expect(apart.diagnostics).toEqual(together.diagnostics);
      }),
      runs(40),
    );
  });

  test('apply, then delete, is as if nothing had been: the very same resources', () => {
    fc.assert(
      fc.property(anyMesh, fc.nat(), (objects, pick) => {
        const extra = objects[pick % objects.length]!;
        const rest = objects.filter((o) => o !== extra);
        const store = newStore();
        const before = store.apply(rest.map(upsert));
        const cache = new CompileCache();
        const first = PROXIES.map((p) => compileProxy(before.snapshot, p, cache).desired);
        compiled(store.apply([upsert(extra)]).snapshot, cache);
        const after = store.apply([remove(extra)]);
        expect(after.diagnostics).toEqual(before.diagnostics);
        PROXIES.forEach((p, i) => {
          for (const [typeUrl, resources] of compileProxy(after.snapshot, p, cache).desired) {
            const known = first[i]!.get(typeUrl)!;
            expect([...resources.keys()].sort()).toEqual([...known.keys()].sort());
            for (const [name, resource] of resources) expect(resource).toBe(known.get(name));
          }
        });
      }),
      runs(40),
    );
  });

  test('after any changes the caches say what compiling from nothing says', () => {
    // Of two meshes with the same names, each step puts an object of the second in place of the first's, or takes it out.
    const steps = fc.array(fc.record({ pick: fc.nat(), isRemoved: fc.boolean() }), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(anyMesh, anyMesh, steps, (objects, others, changes) => {
        const nameOf = (o: KubeObject) => `${o.kind}/${o.metadata.namespace}/${o.metadata.name}`;
        const present = new Map(objects.map((o) => [nameOf(o), o]));
        const store = newStore();
        const cache = new CompileCache();
        compiled(store.apply(objects.map(upsert)).snapshot, cache);
        const pool = [...objects, ...others];
        for (const { pick, isRemoved } of changes) {
          const object = pool[pick % pool.length]!;
          if (isRemoved) present.delete(nameOf(object));
          else present.set(nameOf(object), object);
          const after = store.apply([isRemoved ? remove(object) : upsert(object)]);
          const afresh = newStore().apply([...present.values()].map(upsert));
          expect(compiled(after.snapshot, cache)).toEqual(compiled(afresh.snapshot));
          expect(after.diagnostics).toEqual(afresh.diagnostics);
        }
      }),
      runs(40),
    );
  });

  test('an object that says nothing new makes no new snapshot', () => {
    fc.assert(
      fc.property(anyMesh, (objects) => {
        const store = newStore();
        const { snapshot } = store.apply(objects.map(upsert));
        const again = objects.map((o) => structuredClone(o)).map(upsert);
        expect(store.apply(again).snapshot).toBe(snapshot);
      }),
      runs(30),
    );
  });

  test('a namespace that nobody sees changes nothing for anybody', () => {
    fc.assert(
      fc.property(anyMesh, anyMesh, (objects, strangers) => {
        const store = newStore();
        const before = store.apply(objects.map(upsert));
        const cache = new CompileCache();
        const first = compiled(before.snapshot, cache);
        const { builds } = cache.envoy;
        const unseen = strangers.map(hide);
        const after = store.apply(unseen.map(upsert));
        expect(compiled(after.snapshot, cache)).toEqual(first);
        expect(cache.envoy.builds).toBe(builds);
      }),
      runs(40),
    );
  });

  test('a changed endpoint makes new endpoints and nothing else', () => {
    fc.assert(
      fc.property(anyMesh, fc.ipV4(), (objects, address) => {
        // Endpoints of headless services are in listeners, too, since clients dial them.
        const headless = objects.filter((o) => (o['spec'] as { clusterIP?: string } | undefined)?.clusterIP === 'None');
        const slices = objects.filter(
          (o) =>
            o.kind === 'EndpointSlice' &&
            !headless.some(
              (s) => s.metadata.namespace === o.metadata.namespace && `${s.metadata.name}-1` === o.metadata.name,
            ),
        );
        fc.pre(slices.length > 0);
        const store = newStore();
        const cache = new CompileCache();
        const before = store.apply(objects.map(upsert)).snapshot;
        const first = PROXIES.map((p) => compileProxy(before, p, cache).desired);
        const [slice] = slices;
        const endpoint = { addresses: [address], conditions: { ready: true } };
        const next = { ...slice!, endpoints: [...(slice!['endpoints'] as object[]), endpoint] };
        const after = store.apply([upsert(next)]).snapshot;
        expect(after.index).toBe(before.index);
        PROXIES.forEach((p, i) => {
          for (const [typeUrl, resources] of compileProxy(after, p, cache).desired) {
            if (typeUrl.endsWith('ClusterLoadAssignment')) continue;
            for (const [name, resource] of resources) expect(resource).toBe(first[i]!.get(typeUrl)!.get(name));
          }
        });
      }),
      runs(40),
    );
  });
});

/** The same object in a namespace of its own, which exports nothing. */
function hide(object: KubeObject): KubeObject {
  const spec = object['spec'] as Record<string, unknown> | undefined;
  const isMesh = object.apiVersion.startsWith('networking.istio.io') && object.kind !== 'Gateway';
  const annotations: Record<string, string> = object.kind === 'Service' ? { 'networking.istio.io/exportTo': '.' } : {};
  // A Gateway is selected by labels and not by namespace, so a hidden one selects nothing of ours.
  const narrowed = object.kind === 'Gateway' ? { ...spec, selector: { istio: 'hidden' } } : spec;
  return {
    ...object,
    metadata: { ...object.metadata, namespace: 'hidden', annotations },
    ...(spec && { spec: isMesh ? { ...spec, exportTo: ['.'] } : narrowed }),
  };
}
