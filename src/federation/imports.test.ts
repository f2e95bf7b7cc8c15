// SPDX-License-Identifier: Apache-2.0
// Laws of imports, for any clusters and objects in any order; and what they come to.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isRefused } from '../api/diagnostics.ts';
import { validateObject } from '../api/validate.ts';
import type { KubeObject } from '../kube/types.ts';
import { Imports } from './imports.ts';
import { created, NAMESPACES, place, remove, upsert } from './testing/random-places.ts';
import type { ServiceName } from './types.ts';
import { VirtualAddresses } from './virtual-addresses.ts';

const exportSpec = fc
  .record({
    since: fc.nat(3),
    ports: fc.uniqueArray(fc.constantFrom('http 80 HTTP', 'grpc 80 HTTP2', 'http 81 HTTP', 'tcp 82 TCP'), {
      selector: (port) => port.split(' ')[1],
      minLength: 1,
    }),
    ready: fc.nat(4),
    subsets: fc.subarray(['v1', 'v2']),
    gateways: fc.subarray(['172.31.0.1', '172.31.0.2', 'gateway.example.com']),
    headless: fc.boolean(),
  })
  .map(({ since, ports, ready, subsets, gateways, headless }) => (cluster: string) => ({
    cluster,
    exportedAt: created(since),
    type: headless ? ('Headless' as const) : ('ClusterSetIP' as const),
    ports: ports.map((port) => {
      const [name = '', number, protocol] = port.split(' ');
      return { name, port: Number(number), protocol: protocol as 'HTTP' };
    }),
    ready: ready * subsets.length,
    localities: [],
    subsets: subsets.map((name) => ({ name, labels: { version: name }, ready, localities: [] })),
    gateways: gateways.map((address) => ({ address, port: 15443, network: '', locality: '' })),
    subjectAltNames: [],
    traffic: undefined,
  }));
const CLUSTERS = ['c1', 'c2', 'c3'];
const exportChange = fc.record({ cluster: fc.constantFrom(...CLUSTERS), place, spec: fc.option(exportSpec) });
const entry = fc.record({ place, global: fc.boolean(), address: fc.integer({ min: 1, max: 9 }) }).map(
  ({ place: { namespace, name }, global, address }): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { namespace, name: `by-hand-${name}` },
    spec: {
      hosts: [global ? `${name}.${namespace}.global` : `${name}.example.com`],
      addresses: [`244.0.0.${address}`],
    },
  }),
);
const namespace = fc
  .constantFrom(...NAMESPACES)
  .map((name): KubeObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));
const step = fc.oneof(
  { weight: 5, arbitrary: exportChange },
  { weight: 1, arbitrary: fc.record({ object: fc.oneof(entry, namespace), isThere: fc.boolean() }) },
);
type Step =
  | { cluster: string; place: { namespace: string; name: string }; spec: ((cluster: string) => never) | null }
  | { object: KubeObject; isThere: boolean };

/** Of eight usable addresses for six services: they meet all the time. */
const few = () => new VirtualAddresses({ first: 244 * 2 ** 24, size: 9 });

function take(imports: Imports, step: Step): void {
  if ('object' in step) imports.take(step.isThere ? upsert(step.object) : remove(step.object));
  else imports.setExport(step.cluster, `${step.place.namespace}/${step.place.name}`, step.spec?.(step.cluster));
}

function addressesOf(imports: Imports): Map<ServiceName, string> {
  const found = [...imports.imports].flatMap(([service, { objects: made }]) => {
    const spec = made.find(({ kind }) => kind === 'ServiceEntry')?.['spec'] as { addresses: string[] } | undefined;
    return spec === undefined ? [] : [[service, spec.addresses[0]!] as const];
  });
  return new Map(found);
}

const bytesOf = (imports: Imports): string => JSON.stringify([...imports.imports].sort(([a], [b]) => (a < b ? -1 : 1)));

describe('what is imported', () => {
  test('does not depend on the order in which clusters and objects speak', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.infiniteStream(fc.nat(1_000)), (steps, random) => {
        // The last word of each counts.
        const keyOf = (s: Step) =>
          'object' in s
            ? `${s.object.kind} ${s.object.metadata.namespace}/${s.object.metadata.name}`
            : `${s.cluster} ${s.place.namespace}/${s.place.name}`;
        const last = [...new Map((steps as Step[]).map((s) => [keyOf(s), s])).values()];
        const plain = new Imports('c1', 'cluster.local');
        for (const s of last) take(plain, s);
        plain.plan();
        const shuffled = new Imports('c1', 'cluster.local');
        for (const queue = [...last]; queue.length > 0; ) {
          take(shuffled, queue.splice(random.next().value! % queue.length, 1)[0]!);
          if (random.next().value! % 3 === 0) shuffled.plan();
        }
        shuffled.plan();
        expect(bytesOf(shuffled)).toBe(bytesOf(plain));
      }),
      { numRuns: 300 },
    );
  });

  test('addresses never meet, neither one another nor a person’s, and do not change while the service is there', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const imports = new Imports('c1', 'cluster.local', few());
        const persons = new Map<string, string>();
        let before = new Map<ServiceName, string>();
        // Eight addresses, of which persons may take some: with too many nobody could have one.
        for (const s of steps as Step[]) {
          if ('object' in s && s.object.kind === 'ServiceEntry') {
            const name = `${s.object.metadata.namespace}/${s.object.metadata.name}`;
            if (s.isThere && persons.size >= 2 && !persons.has(name)) continue;
            if (s.isThere) persons.set(name, (s.object['spec'] as { addresses: string[] }).addresses[0]!);
            else persons.delete(name);
          }
          take(imports, s);
          imports.plan();
          const now = addressesOf(imports);
          expect(new Set(now.values()).size).toBe(now.size);
          for (const address of persons.values()) expect([...now.values()]).not.toContain(address);
          for (const [service, address] of now) {
            const old = before.get(service);
            if (old !== undefined && ![...persons.values()].includes(old)) expect(address).toBe(old);
          }
          before = now;
        }
      }),
      { numRuns: 300 },
    );
  });

  test('nothing is left when no other cluster exports any more', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const imports = new Imports('c1', 'cluster.local');
        for (const s of steps as Step[]) take(imports, s);
        imports.plan();
        for (const cluster of CLUSTERS.slice(1)) imports.setCluster(cluster, new Map());
        imports.plan();
        expect([...imports.imports.values()].flatMap(({ objects: made }) => made)).toEqual([]);
      }),
    );
  });

  test('a person’s ServiceEntry for one of the names leaves nothing of ours beside it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), entry, (steps, object) => {
        const imports = new Imports('c1', 'cluster.local');
        for (const s of steps as Step[]) take(imports, s);
        imports.take(upsert(object));
        imports.plan();
        const [host] = (object['spec'] as { hosts: string[] }).hosts;
        const hosts = [...imports.imports.values()].flatMap(({ objects: made }) =>
          made.flatMap(({ kind, spec }) => (kind === 'ServiceEntry' ? (spec as { hosts: string[] }).hosts : [])),
        );
        expect(hosts).not.toContain(host);
      }),
    );
  });

  test('everything that is written is sound: no webhook refuses it', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const imports = new Imports('c1', 'cluster.local');
        for (const s of steps as Step[]) take(imports, s);
        imports.plan();
        const made = [...imports.imports.values()].flatMap(({ objects: all }) => all);
        expect(made.flatMap((object) => validateObject(object).filter(isRefused))).toEqual([]);
      }),
    );
  });

  test('where pods have IPv6, each name has an address of it that goes with the one of IPv4', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), fc.nat(30), (steps, at) => {
        const imports = new Imports('c1', 'cluster.local');
        (steps as Step[]).forEach((s, i) => {
          if (i === at) imports.setIpv6(true);
          take(imports, s);
          if (i % 3 === 0) imports.plan();
        });
        imports.setIpv6(true);
        imports.plan();
        const made = [...imports.imports.values()].flatMap(({ objects: all }) => all);
        expect(made.flatMap((object) => validateObject(object).filter(isRefused))).toEqual([]);
        for (const { kind, spec } of made) {
          if (kind !== 'ServiceEntry') continue;
          const [ipv4 = '', ipv6, ...more] = (spec as { addresses: string[] }).addresses;
          const bytes = Buffer.from(ipv4.split('.').map(Number));
          const [high, low] = [0, 2].map((offset) => bytes.readUInt16BE(offset).toString(16));
          expect([ipv6, ...more]).toEqual([`2001:2:0:1::${high}:${low}`]);
        }
      }),
    );
  });

  test('as long as names may be, and with many ports', () => {
    const long = 'n'.repeat(63);
    const ports = Array.from({ length: 40 }, (_, i) => ({ name: `tcp-${i}`, port: 10_000 + i, protocol: undefined }));
    const spec = {
      exportedAt: created(0),
      type: 'ClusterSetIP' as const,
      ports,
      ready: 1,
      localities: [],
      subsets: [{ name: long, labels: { version: 'V'.repeat(63) }, ready: 1, localities: [] }],
      gateways: [{ address: '192.0.2.1', port: 15443, network: '', locality: '' }],
      subjectAltNames: [],
      traffic: undefined,
    };
    const imports = new Imports('c1', 'cluster.local');
    imports.setExport('c2', `${long}/${long}`, { ...spec, cluster: 'c2' });
    imports.setExport('c'.repeat(63), `${long}/${long}`, { ...spec, cluster: 'c'.repeat(63), ports: ports.slice(1) });
    imports.plan();
    const [made] = imports.imports.values();
    expect(made!.objects.map(({ kind }) => kind)).toEqual(['ServiceEntry', 'DestinationRule']);
    expect(made!.objects.flatMap((object) => validateObject(object).filter(isRefused))).toEqual([]);
  });

  test('what is written tells again what it was made of, until its clusters speak themselves', () => {
    fc.assert(
      fc.property(fc.array(exportChange, { minLength: 1, maxLength: 12 }), (steps) => {
        const imports = new Imports('c1', 'cluster.local');
        for (const each of NAMESPACES)
          imports.take(upsert({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: each } }));
        for (const s of steps as Step[]) take(imports, s);
        imports.plan();
        const written = [...imports.imports.values()].flatMap(({ objects: made }) => made);

        // Another replica, which has heard of no cluster but its own.
        const later = new Imports('c1', 'cluster.local');
        for (const each of NAMESPACES)
          later.take(upsert({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: each } }));
        for (const object of written) later.take(upsert(object));
        for (const service of imports.imports.keys()) {
          const own = imports.exportsOf(service).find(({ cluster }) => cluster === 'c1');
          later.setExport('c1', service, own?.spec);
        }
        for (const cluster of CLUSTERS.slice(1)) later.recall(cluster);
        later.plan();
        const bytes = (from: Imports) =>
          [...from.imports.values()]
            .flatMap(({ objects: made }) => made)
            .filter(({ kind }) => kind !== 'ServiceImport')
            .map((object) => JSON.stringify(object))
            .sort();
        expect(bytes(later)).toEqual(bytes(imports));
      }),
      { numRuns: 300 },
    );
  });
});

test.each([
  ['ServiceEntry', { hosts: ['*.shop.global'] }, []],
  ['ServiceEntry', { hosts: ['cart.shop.svc.clusterset.local'] }, []],
  ['ServiceEntry', { hosts: ['*.elsewhere.global'] }, ['ServiceEntry', 'DestinationRule']],
  ['DestinationRule', { host: '*.global' }, ['ServiceEntry']],
  ['DestinationRule', { host: 'cart.shop.global' }, ['ServiceEntry']],
  ['DestinationRule', { host: 'cart' }, ['ServiceEntry', 'DestinationRule']],
])('beside a person’s %s of %j there are %j of ours', (kind, spec, ours) => {
  const imports = new Imports('c1', 'cluster.local');
  const cart = {
    cluster: 'c2',
    exportedAt: created(0),
    type: 'ClusterSetIP' as const,
    ports: [{ name: 'http', port: 80, protocol: 'HTTP' as const }],
    ready: 1,
    localities: [],
    subsets: [{ name: 'v1', labels: { version: 'v1' }, ready: 1, localities: [] }],
    gateways: [{ address: '192.0.2.1', port: 15443, network: '', locality: '' }],
    subjectAltNames: [],
    traffic: undefined,
  };
  imports.setExport('c2', 'shop/cart', cart);
  imports.plan();
  const object = { apiVersion: 'networking.istio.io/v1', kind, metadata: { name: 'mine', namespace: 'x' }, spec };
  imports.take(upsert(object));
  imports.plan();
  const made = imports.imports.get('shop/cart')!;
  expect(made.objects.map((each) => each.kind)).toEqual(ours);
  expect(made.disagreements).toHaveLength(ours.length === 2 ? 0 : 1);
  imports.take(remove(object));
  imports.plan();
  expect(imports.imports.get('shop/cart')!.objects).toHaveLength(2);
});

test('the rule that the installation brings for all names is nobody’s own word', () => {
  const imports = new Imports('c1', 'cluster.local');
  const labels = { 'app.kubernetes.io/managed-by': 'isthmus', 'app.kubernetes.io/part-of': 'isthmus' };
  imports.take(
    upsert({
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'istio-multicluster-destinationrule', namespace: 'istio-system', labels },
      spec: { host: '*.global' },
    }),
  );
  const [change] = fc.sample(exportSpec, { numRuns: 1, seed: 1 });
  imports.setExport('c2', 'shop/cart', change!('c2'));
  imports.plan();
  expect(imports.imports.get('shop/cart')!.disagreements).toEqual([]);
});

test('an address begins where the service’s name says, in every cluster the same', () => {
  const [a, b] = [new VirtualAddresses(), new VirtualAddresses()];
  const seekers = ['default/reviews', 'default/ratings', 'shop/cart'].map((name) => ({
    service: name,
    since: created(0),
  }));
  expect(a.assign(seekers)).toEqual(b.assign([...seekers].reverse()));
  expect(a.assign(seekers).get('default/reviews')).toBe('247.108.66.147');
});

test('objects live where the service’s namespace is, or in istio-system, with one address', () => {
  const imports = new Imports('c1', 'cluster.local');
  const [make] = fc.sample(exportSpec, { numRuns: 1, seed: 1 });
  imports.setExport('c2', 'shop/cart', make!('c2'));
  const homes = (metadata: KubeObject['metadata'] | undefined): string[] => {
    if (metadata !== undefined) imports.take(upsert({ apiVersion: 'v1', kind: 'Namespace', metadata }));
    imports.plan();
    return imports.imports.get('shop/cart')!.objects.map(({ kind, metadata: made }) => `${kind} ${made.namespace}`);
  };
  expect(homes(undefined)).toContain('ServiceEntry istio-system');
  const address = addressesOf(imports).get('shop/cart');
  expect(homes({ name: 'shop' })).toEqual(expect.arrayContaining(['ServiceEntry shop', 'ServiceImport shop']));
  const ending = homes({ name: 'shop', deletionTimestamp: created(9) });
  expect(ending).toContain('ServiceEntry istio-system');
  expect(ending.join()).not.toContain('ServiceImport');
  expect(addressesOf(imports).get('shop/cart')).toBe(address);
});

test('the address of a service that is imported no more is free for others', () => {
  const imports = new Imports('c1', 'cluster.local', few());
  const [make] = fc.sample(exportSpec, { numRuns: 1, seed: 1 });
  for (let i = 0; i < 30; i++) {
    imports.setExport('c2', `shop/s${i}`, make!('c2'));
    imports.plan();
    expect(addressesOf(imports).size).toBe(1);
    imports.setExport('c2', `shop/s${i}`, undefined);
    imports.plan();
  }
});
