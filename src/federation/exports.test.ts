// SPDX-License-Identifier: Apache-2.0
// Laws of exports, for any objects in any order.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { exportedObject } from './derived-objects.ts';
import { type ObjectNews, OwnExports } from './own-exports.ts';
import { readExported } from './read-exported.ts';
import { created, NAMES, NAMESPACES, place, remove, upsert } from './testing/random-places.ts';
import type { ReadyEndpoint } from './types.ts';

const service = fc
  .record({
    place,
    at: fc.nat(5),
    ports: fc.uniqueArray(fc.constantFrom('http 80', 'grpc 80', 'tcp 81', 'udp 53'), {
      selector: (p) => p.split(' ')[1],
      maxLength: 3,
    }),
    annotation: fc.constantFrom(undefined, 'true', 'false', 'maybe'),
    tier: fc.constantFrom('front', 'back'),
    external: fc.boolean(),
  })
  .map(
    ({ place: metadata, at, ports, annotation, tier, external }): KubeObject => ({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: {
        ...metadata,
        creationTimestamp: created(at),
        labels: { tier },
        annotations: annotation === undefined ? {} : { 'isthmus.io/export': annotation },
      },
      spec: {
        ...(external ? { type: 'ExternalName', externalName: 'example.com' } : {}),
        selector: { app: metadata.name },
        ports: ports.map((port) => {
          const [name, number] = port.split(' ');
          return { name, port: Number(number), protocol: name === 'udp' ? 'UDP' : 'TCP' };
        }),
      },
    }),
  );
const serviceExport = fc.record({ place, at: fc.nat(5) }).map(
  ({ place: metadata, at }): KubeObject => ({
    apiVersion: 'multicluster.x-k8s.io/v1alpha1',
    kind: 'ServiceExport',
    metadata: { ...metadata, creationTimestamp: created(at) },
  }),
);
const policy = fc
  .record({
    name: fc.constantFrom('p', 'q'),
    at: fc.nat(5),
    of: fc.constantFrom('all', 'a', 'shared'),
    tier: fc.constantFrom('front', 'back'),
  })
  .map(
    ({ name, at, of, tier }): KubeObject => ({
      apiVersion: 'isthmus.io/v1alpha1',
      kind: 'ExportPolicy',
      metadata: { name, creationTimestamp: created(at) },
      spec: {
        ...(of === 'shared'
          ? { namespaceSelector: { matchLabels: { shared: 'true' } } }
          : { namespaces: of === 'all' ? ['*'] : ['a'] }),
        selector: { matchLabels: { tier } },
      },
    }),
  );
const labelled = fc.record({ name: fc.constantFrom(...NAMESPACES), shared: fc.boolean() }).map(
  ({ name, shared }): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: shared ? { shared: 'true' } : {} },
  }),
);
const pod = fc.record({ place, app: fc.constantFrom(...NAMES), version: fc.constantFrom('v1', 'v2', '1.2', '') }).map(
  ({ place: { namespace, name }, app, version }): KubeObject => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name: `pod-${name}`, labels: { app, ...(version === '' ? {} : { version }) } },
    spec: { serviceAccountName: app },
  }),
);
const rule = fc.record({ place, at: fc.nat(5), subset: fc.constantFrom('v1', 'gold') }).map(
  ({ place: { namespace, name }, at, subset }): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { namespace, name: `rule-${name}`, creationTimestamp: created(at) },
    spec: { host: name, subsets: [{ name: subset, labels: { version: 'v2' } }] },
  }),
);
const objects = fc.uniqueArray(fc.oneof(service, serviceExport, policy, labelled, pod, rule), {
  selector: ({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`,
  maxLength: 25,
});

const ENDPOINTS: readonly ReadyEndpoint[] = [
  { labels: { version: 'v1' }, locality: 'r/z1', meshed: true },
  { labels: { version: 'v2' }, locality: 'r/z2', meshed: true },
  { labels: {}, locality: '', meshed: false },
];

function ownExports(): OwnExports {
  return new OwnExports({
    cluster: 'c1',
    dnsDomain: 'cluster.local',
    trustDomain: 'cluster.local',
    endpointsOf: () => ENDPOINTS,
    gatewayPods: () => [],
    nowMs: () => Date.UTC(2026, 1, 1),
  });
}

/** All that is told, as bytes; but since when what an annotation exports is exported: nothing but the past tells it. */
function told(exports: OwnExports): string {
  const digests = [...exports.digests].sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify(
    digests.map(([name, { spec, conditions }]) => {
      const isAnnotated = conditions.some(({ message }) => message.includes('its annotation'));
      return [name, { spec: isAnnotated ? { ...spec, exportedAt: '' } : spec, conditions }];
    }),
  );
}

describe('what is exported', () => {
  test('does not depend on the order in which objects come, nor on what was there in between', () => {
    fc.assert(
      fc.property(objects, objects, fc.infiniteStream(fc.nat(1_000)), (wanted, passing, random) => {
        const plain = ownExports();
        for (const object of wanted) plain.take(upsert(object));
        plain.plan();

        const shuffled = ownExports();
        const keyOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.namespace}/${metadata.name}`;
        const last = new Map(wanted.map((object) => [keyOf(object), object]));
        const pick = <T>(from: T[]): T => from.splice(random.next().value! % from.length, 1)[0]!;
        for (const queue = [...passing]; queue.length > 0; ) {
          shuffled.take(upsert(pick(queue)));
          if (random.next().value! % 3 === 0) shuffled.plan();
        }
        const news = [...passing.filter((object) => !last.has(keyOf(object))).map(remove), ...wanted.map(upsert)];
        while (news.length > 0) {
          shuffled.take(pick(news));
          if (random.next().value! % 3 === 0) shuffled.plan();
        }
        shuffled.plan();
        expect(told(shuffled)).toBe(told(plain));
      }),
      { numRuns: 300 },
    );
  });

  test('nothing is left when everything that exports has gone', () => {
    fc.assert(
      fc.property(objects, (all) => {
        const exports = ownExports();
        for (const object of all) exports.take(upsert(object));
        exports.plan();
        for (const object of all) if (object.kind !== 'Pod') exports.take(remove(object));
        exports.plan();
        expect(exports.digests.size).toBe(0);
      }),
    );
  });

  test('is read back as it was told', () => {
    fc.assert(
      fc.property(objects, (all) => {
        const exports = ownExports();
        for (const object of all) exports.take(upsert(object));
        exports.plan();
        for (const [name, { spec }] of exports.digests) {
          if (spec === undefined) continue;
          const written = JSON.parse(JSON.stringify(exportedObject(name, spec))) as KubeObject;
          expect(readExported(written, 'c1', 'cluster.local')).toEqual(spec);
        }
      }),
    );
  });
});

test('a namespace that gets the label of a policy exports, and no more without it', () => {
  const exports = ownExports();
  const home = (labels: Record<string, string>): ObjectNews =>
    upsert({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } });
  const spec = { namespaceSelector: { matchExpressions: [{ key: 'shared', operator: 'Exists' }] } };
  exports.take(upsert({ apiVersion: 'isthmus.io/v1alpha1', kind: 'ExportPolicy', metadata: { name: 'p' }, spec }));
  const metadata = { name: 'cart', namespace: 'shop' };
  exports.take(upsert({ apiVersion: 'v1', kind: 'Service', metadata, spec: { ports: [{ name: 'http', port: 80 }] } }));
  for (const [labels, exported] of [
    [{}, []],
    [{ shared: '' }, ['shop/cart']],
    [{}, []],
  ] as const) {
    exports.take(home(labels));
    exports.plan();
    expect([...exports.digests.keys()]).toEqual(exported);
  }
});
