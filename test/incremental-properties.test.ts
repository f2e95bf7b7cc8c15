// SPDX-License-Identifier: Apache-2.0
// An engine that has followed any sequence of changes holds what one holds that was started just now: resource by resource,
// for sidecars and gateways, and what it says of the objects. Seeds are fixed; `make test-all` runs more of them.

import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { rounds } from './fixture/counts.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { newStore, remove, resourcesOf, upsert } from './fixture/mesh-store.ts';
import { arbitraryMesh } from './scenarios/arbitrary-mesh.ts';
import { missingClusters } from './scenarios/nameable.ts';

const FACTOR = rounds(1, 100);

const PROXIES: readonly MeshProxy[] = [
  proxy('sidecar', 'alpha', 'reviews-v1', { app: 'reviews', version: 'v1' }),
  proxy('sidecar', 'alpha', 'other', { app: 'other' }),
  proxy('sidecar', 'beta', 'orders-v2', { app: 'orders', version: 'v2' }),
  proxy('sidecar', 'gamma', 'client', { app: 'client' }),
  proxy('gateway', 'gamma', 'ingress-1', { app: 'ingress', istio: 'ingressgateway' }),
];

function proxy(kind: MeshProxy['kind'], namespace: string, podName: string, labels: Record<string, string>): MeshProxy {
  return meshProxy({ id: podName, kind, namespace, podName, locality: podName === 'other' ? 'eu/a' : '', labels });
}

const nameOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.namespace}/${metadata.name}`;

function mesh(kind: string, namespace: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { namespace, name }, spec };
}

const pick = fc.constantFrom;
const NAMESPACES = ['alpha', 'beta'] as const;
const HOSTS = [
  'reviews',
  'reviews.alpha.svc.cluster.local',
  'orders.beta.svc.cluster.local',
  'shop.example',
  '*.example',
  'reviews.alpha',
  'made.up',
] as const;
const exportTo = pick(['*'], ['.'], ['beta']);

const service = fc
  .record({
    namespace: pick(...NAMESPACES),
    name: pick('reviews', 'orders'),
    clusterIP: pick('10.96.0.1', '10.96.0.2', 'None'),
    annotations: pick<Record<string, string>[]>({}, {}, { 'isthmus.io/fallback': 'false' }),
    port: pick(
      { name: 'http', port: 80 },
      { name: 'tcp', port: 80 },
      { name: 'http-a', port: 9080 },
      { name: 'x', port: 7 },
    ),
  })
  .map(({ namespace, name, clusterIP, port, annotations }): KubeObject => {
    const spec = { clusterIP, selector: { app: name }, ports: [port] };
    return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name, annotations }, spec };
  });

const slice = fc
  .record({
    namespace: pick(...NAMESPACES),
    service: pick('reviews', 'orders'),
    addresses: fc.uniqueArray(pick('10.1.0.1', '10.1.0.2', '10.1.0.3'), { maxLength: 3 }),
    port: pick(80, 9080, 7),
  })
  .map(({ namespace, service: name, addresses, port }) => sliceOf(namespace, name, addresses, port));

function sliceOf(namespace: string, name: string, addresses: readonly string[], port: number): KubeObject {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace, name: `${name}-1`, labels: { 'kubernetes.io/service-name': name } },
    ports: [{ name: port === 80 ? 'http' : port === 7 ? 'x' : 'http-a', port }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

const entry = fc
  .record({
    namespace: pick(...NAMESPACES),
    name: pick('one', 'two'),
    hosts: fc.uniqueArray(
      pick('shop.example', 'reviews.alpha.global', 'pay.example', 'reviews.alpha.svc.clusterset.local'),
      { minLength: 1, maxLength: 2 },
    ),
    addresses: fc.subarray(['240.0.0.1', '10.96.0.1', '240.0.1.0/24']),
    protocol: pick('HTTP', 'TCP', 'TLS'),
    location: pick('MESH_INTERNAL', 'MESH_EXTERNAL'),
    exportTo,
    endpoint: pick('10.9.0.1', '10.9.0.2'),
  })
  .map(({ namespace, name, hosts, addresses, protocol, location, endpoint, exportTo: scope }) =>
    mesh('ServiceEntry', namespace, name, {
      hosts,
      addresses,
      location,
      exportTo: scope,
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'p', protocol }],
      endpoints: [{ address: endpoint, labels: { version: 'v1' } }],
    }),
  );

const HTTP = { name: 'http', number: 80, protocol: 'HTTP' };

interface SharedService {
  readonly namespace: string;
  readonly name: string;
  readonly traffic: string;
  readonly port: typeof HTTP;
  /** Pods of cluster2, by version. */
  readonly weights: readonly number[];
  readonly hasOwn: boolean;
}

const shared = fc
  .record({
    namespace: pick(...NAMESPACES),
    name: pick('reviews', 'orders'),
    traffic: pick('local-first', 'spread', 'cluster1=70,cluster2=30', 'cluster2=100', 'wrong'),
    port: pick(HTTP, { name: 'x', number: 7, protocol: 'TCP' }),
    weights: fc.array(fc.nat({ max: 2 }), { minLength: 2, maxLength: 2 }),
    hasOwn: fc.boolean(),
  })
  .map(sharedOf);

/** What exports become: names of a service of several clusters, some of whose pods are the own cluster's. */
function sharedOf({ namespace, name, traffic, port, weights, hasOwn }: SharedService): KubeObject {
  const gateways = weights.flatMap((weight, i) =>
    weight === 0 ? [] : [{ address: '172.31.0.1', weight, labels: { cluster: 'cluster2', version: `v${i + 1}` } }],
  );
  const own = { address: `${name}.${namespace}.svc.cluster.local`, labels: { cluster: 'cluster1' } };
  const spec = {
    hosts: [`${name}.${namespace}.global`, `${name}.${namespace}.svc.clusterset.local`],
    addresses: [name === 'reviews' ? '244.0.0.1' : '244.0.0.2'],
    location: 'MESH_INTERNAL',
    resolution: 'DNS',
    ports: [port],
    endpoints: [...(hasOwn ? [own] : []), ...gateways, { address: '172.31.0.2', labels: { cluster: 'cluster3' } }],
  };
  const metadata = { namespace, name: `${name}.${namespace}.global`, annotations: { 'isthmus.io/traffic': traffic } };
  return { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata, spec };
}

const exported = fc
  .record({
    namespace: pick(...NAMESPACES),
    name: pick('reviews', 'orders'),
    versions: fc.subarray(['v1', 'v2']),
    ready: fc.nat({ max: 3 }),
  })
  .map(({ namespace, name, versions, ready }): KubeObject => {
    const subsets = versions.map((version) => ({ name: version, labels: { version }, ready }));
    const ports = [{ name: 'http', port: 80 }];
    const exportedAt = '2026-01-31T12:00:00Z';
    const spec = { cluster: 'cluster1', exportedAt, type: 'ClusterSetIP', ports, ready, subsets };
    return { apiVersion: 'isthmus.io/v1alpha1', kind: 'ExportedService', metadata: { namespace, name }, spec };
  });

const gatewayServices = pick('ALL', 'EXPORTED').map(
  (which): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'istio-system', name: 'istio' },
    data: { mesh: `gatewayServices: ${which}` },
  }),
);

/** By it other clusters come in. */
const gatewayService = fc.constant<KubeObject>({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { namespace: 'gamma', name: 'ingress' },
  spec: { clusterIP: '10.96.0.9', selector: { app: 'ingress' }, ports: [{ name: 'tls', port: 15443 }] },
});

const virtualService = fc
  .record({
    namespace: pick(...NAMESPACES),
    name: pick('one', 'two'),
    host: pick(...HOSTS),
    to: pick(
      'reviews',
      'orders.beta.svc.cluster.local',
      'shop.example',
      'nowhere.example',
      'orders.beta.global',
      'reviews.alpha.svc.clusterset.local',
    ),
    match: pick(
      [],
      [{ sourceLabels: { app: 'other' } }],
      [{ sourceNamespace: 'beta' }],
      [{ headers: { who: { exact: 'me' } } }],
    ),
    exportTo,
  })
  .map(({ namespace, name, host, to, match, exportTo: scope }) => {
    const route = [{ destination: { host: to } }];
    return mesh('VirtualService', namespace, name, {
      hosts: [host],
      exportTo: scope,
      http: match.length === 0 ? [{ route }] : [{ match, route: [{ destination: { host: 'reviews' } }] }, { route }],
    });
  });

const destinationRule = fc
  .record({
    namespace: pick(...NAMESPACES, 'istio-system'),
    name: pick('one', 'two'),
    host: pick('reviews', 'orders.beta.svc.cluster.local', '*.example', '*.local', 'reviews.alpha.global'),
    subsets: fc.subarray(['v1', 'v2']),
    exportTo,
    // What routes and chains have to know of a rule, and clients that it is for.
    hash: pick(undefined, 'x-user', 'x-shop'),
    selected: pick(undefined, undefined, 'reviews'),
  })
  .map(({ namespace, name, host, subsets, exportTo: scope, hash, selected }) =>
    mesh('DestinationRule', namespace, name, {
      host,
      ...(selected === undefined ? { exportTo: scope } : { workloadSelector: { matchLabels: { app: selected } } }),
      ...(hash && {
        trafficPolicy: {
          loadBalancer: { consistentHash: { httpHeaderName: hash } },
          connectionPool: { tcp: { idleTimeout: '9s' } },
        },
      }),
      subsets: subsets.map((version) => ({ name: version, labels: { version } })),
    }),
  );

/** A small and crowded mesh: few names, hosts and addresses, which many objects want. */
const crowded = fc.oneof(service, slice, entry, virtualService, destinationRule);
const crowdedClusters = fc.oneof(
  ...[service, service, slice, slice, shared, shared, exported, gatewayServices, gatewayService],
  ...[virtualService, destinationRule],
);

/** Where nothing is private, namespaces see the same, and share what is made of it. */
const open = crowded.map((object) => {
  const { spec } = object as { spec?: object };
  return spec !== undefined && 'exportTo' in spec
    ? ({ ...object, spec: { ...spec, exportTo: ['*'] } } as KubeObject)
    : object;
});

/** One service of several clusters, of which nothing changes but endpoints and their weights. */
const endpointsOfClusters = fc.oneof(
  fc.constant<KubeObject>({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'alpha', name: 'reviews' },
    spec: { clusterIP: '10.96.0.1', selector: { app: 'reviews' }, ports: [{ name: 'http', port: 80 }] },
  }),
  pick([], ['10.1.0.1'], ['10.1.0.1', '10.1.0.2']).map((addresses) => sliceOf('alpha', 'reviews', addresses, 80)),
  fc
    .record({ weights: fc.array(fc.nat({ max: 2 }), { minLength: 2, maxLength: 2 }), hasOwn: fc.boolean() })
    .map((made) => sharedOf({ ...made, namespace: 'alpha', name: 'reviews', traffic: 'spread', port: HTTP })),
);

/** Batches of changes; objects of one name change as well as come and go. */
function sequencesOf(objects: fc.Arbitrary<KubeObject[]>) {
  return objects.chain((all) =>
    fc.record({
      start: fc.shuffledSubarray(all),
      batches: fc.array(
        fc.array(fc.record({ object: pick(...all), isThere: fc.boolean() }), { minLength: 1, maxLength: 4 }),
        { minLength: 1, maxLength: 12 },
      ),
    }),
  );
}

const sequences = fc.oneof(
  sequencesOf(fc.array(crowded, { minLength: 10, maxLength: 40 })),
  sequencesOf(fc.array(open, { minLength: 10, maxLength: 40 })),
  sequencesOf(fc.array(crowdedClusters, { minLength: 10, maxLength: 40 })),
  sequencesOf(fc.array(endpointsOfClusters, { minLength: 6, maxLength: 20 })),
  sequencesOf(fc.array(arbitraryMesh, { minLength: 2, maxLength: 3 }).map((meshes) => meshes.flat())),
);

// A turn of the event loop for each: what WeakRefs gave is held until the turn ends, and the full counts are thousands of meshes.
describe('following changes', { timeout: 120_000 * FACTOR }, () => {
  test('gives what starting anew gives', async () => {
    let changes = 0;
    await fc.assert(
      fc.asyncProperty(sequences, async ({ start, batches }) => {
        await turn();
        const store = newStore();
        const cache = new CompileCache();
        const present = new Map<string, KubeObject>(start.map((object) => [nameOf(object), object]));
        let { snapshot } = store.apply([...present.values()].map(upsert));
        resourcesOf(PROXIES, snapshot, cache);
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
          expect(resourcesOf(PROXIES, snapshot, cache)).toEqual(
            resourcesOf(PROXIES, anew.snapshot, new CompileCache()),
          );
          expect(followed.diagnostics).toEqual(anew.diagnostics);
          for (const each of PROXIES) expect(missingClusters(compileProxy(snapshot, each, cache))).toEqual([]);
        }
        // What proxies share does not show in what each is given by itself.
        const alone = PROXIES.flatMap((each) => resourcesOf([each], snapshot, new CompileCache()));
        expect(resourcesOf(PROXIES, snapshot, cache)).toEqual(alone);
        expect(resourcesOf(PROXIES, snapshot, new CompileCache())).toEqual(alone);
      }),
      { numRuns: 80 * FACTOR, seed: 20260102 },
    );
    // Sequences that change nothing would prove nothing.
    expect(changes).toBeGreaterThan(60);
  });

  test('an earlier state can still be asked for, and the way back to the latest', async () => {
    await fc.assert(
      fc.asyncProperty(sequences, async ({ start, batches }) => {
        await turn();
        const store = newStore();
        const cache = new CompileCache();
        const states = [store.apply(start.map(upsert)).snapshot];
        const seen = [resourcesOf(PROXIES, states[0]!, cache)];
        for (const batch of batches) {
          states.push(
            store.apply(batch.map(({ object, isThere }) => (isThere ? upsert(object) : remove(object)))).snapshot,
          );
          seen.push(resourcesOf(PROXIES, states.at(-1)!, cache));
        }
        for (const at of [0, states.length - 1, Math.floor(states.length / 2)]) {
          expect(resourcesOf(PROXIES, states[at]!, cache)).toEqual(seen[at]);
        }
      }),
      { numRuns: 20 * FACTOR, seed: 20260103 },
    );
  });
});
