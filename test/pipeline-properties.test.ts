// SPDX-License-Identifier: Apache-2.0
// Laws of the compile stages, on random meshes. Seeds are fixed; `make test-all` runs more of them.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { clusterName } from '../src/api/names.ts';
import { validateObject } from '../src/api/validate.ts';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import type { MeshSnapshot } from '../src/model/snapshot.ts';
import { MeshStore, type StoreEvent } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { arbitraryMesh } from './scenarios/arbitrary-mesh.ts';
import { staticBootstrap } from './scenarios/static-bootstrap.ts';

const FACTOR = process.env['ISTHMUS_TEST_ALL'] === undefined ? 1 : 100;
const runs = (count: number) => ({ numRuns: count * FACTOR, seed: 20260101 });

const PROXIES: readonly MeshProxy[] = [
  proxy('sidecar', 'alpha', 'reviews-v1', { app: 'reviews', version: 'v1' }),
  proxy('sidecar', 'beta', 'orders-v2', { app: 'orders', version: 'v2' }),
  proxy('gateway', 'gamma', 'ingress-1', { app: 'ingress', istio: 'ingressgateway' }),
];
/** The gateway's own Service, so that it has its 15443. */
const INGRESS: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'ingress', namespace: 'gamma' },
  spec: {
    clusterIP: '10.96.200.1',
    selector: { istio: 'ingressgateway' },
    ports: [
      { name: 'http2', port: 80, targetPort: 8080 },
      { name: 'tls', port: 15443 },
    ],
  },
};

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

/** What every proxy gets, as text that can be compared: type, name, version. */
function compiled(snapshot: MeshSnapshot, cache = new CompileCache()): string[] {
  return PROXIES.flatMap((p) =>
    [...compileProxy(snapshot, p, cache).desired.values()].flatMap((resources) =>
      [...resources.values()].map((r) => `${p.id} ${r.typeUrl} ${r.name} ${r.version}`).sort(),
    ),
  );
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

  test('the order of events is irrelevant, and so is how they are bundled', () => {
    const shuffled = arbitraryMesh.chain((objects) =>
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
      runs(60),
    );
  });

  test('apply, then delete, is as if nothing had been: the very same resources', () => {
    fc.assert(
      fc.property(arbitraryMesh, fc.nat(), (objects, pick) => {
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
      runs(60),
    );
  });

  test('an object that says nothing new makes no new snapshot', () => {
    fc.assert(
      fc.property(arbitraryMesh, (objects) => {
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
      fc.property(arbitraryMesh, arbitraryMesh, (objects, strangers) => {
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
      fc.property(arbitraryMesh, fc.ipV4(), (objects, address) => {
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

  const envoy = findEnvoy();
  test.skipIf(envoy === undefined)('Envoy accepts whatever a random mesh makes', async () => {
    const scratch = mkdtempSync(join(tmpdir(), 'isthmus-properties-'));
    const accepts = async (snapshot: MeshSnapshot, p: MeshProxy, cache: CompileCache): Promise<void> => {
      const path = join(scratch, `${p.id}.pb`);
      writeFileSync(path, staticBootstrap(compileProxy(snapshot, p, cache).desired));
      const args = ['--mode', 'validate', '--disable-hot-restart', '--log-level', 'error', '--config-path', path];
      await promisify(execFile)(envoy!, args);
    };
    try {
      await fc.assert(
        fc.asyncProperty(arbitraryMesh, async (objects) => {
          const { snapshot } = newStore().apply([...objects, INGRESS].map(upsert));
          const cache = new CompileCache();
          await Promise.all(PROXIES.map((p) => accepts(snapshot, p, cache)));
        }),
        runs(25),
      );
    } finally {
      rmSync(scratch, { recursive: true, force: true });
    }
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
