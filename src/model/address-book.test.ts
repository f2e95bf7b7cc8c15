// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { AddressBook } from './address-book.ts';
import { MeshStore } from './store.ts';

const OPTIONS = {
  trustDomain: 'cluster.local',
  dnsDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  configCluster: 'cluster1',
};

interface EntryText {
  readonly hosts?: readonly string[];
  readonly addresses?: readonly string[];
  readonly resolution?: string;
  readonly labels?: Record<string, string>;
  readonly found?: Readonly<Record<string, string>>;
  readonly second?: number;
}

function entry(name: string, text: EntryText = {}): KubeObject {
  const { hosts = [`${name}.example.com`], addresses, resolution = 'DNS', labels, found = {}, second = 0 } = text;
  const creationTimestamp = new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'default', creationTimestamp, ...(labels && { labels }) },
    spec: {
      hosts,
      ...(addresses && { addresses }),
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      resolution,
      ...(resolution === 'STATIC' && { endpoints: [{ address: '192.0.2.1' }] }),
    },
    status: { addresses: Object.entries(found).map(([host, value]) => ({ host, value })) },
  };
}

/** What has to be written, as lines, for entries that come one after another. */
function planned(...batches: KubeObject[][]): string[][] {
  return plannedWith([], ...batches);
}

/** `ipv6`: whether there are pods with IPv6, at each batch. */
function plannedWith(ipv6: readonly boolean[], ...batches: KubeObject[][]): string[][] {
  const store = new MeshStore(OPTIONS);
  const book = new AddressBook();
  return batches.map((objects, i) => {
    store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'cluster1', object })));
    book.take(store.snapshot.index.services, ipv6[i] === true);
    return book.plan().map(({ entry: { name }, addresses }) => {
      return `${name}: ${addresses.map(({ host, value }) => `${host} ${value}`).join(', ')}`;
    });
  });
}

test('every host that takes one gets an address, always the same one', () => {
  const [first] = planned([
    entry('a', { hosts: ['a.example.com', '*.a.example.com', 'b.example.com'], resolution: 'STATIC' }),
  ]);
  expect(first).toHaveLength(1);
  expect(first![0]).toMatch(/^a: a\.example\.com 240\.240\.\d+\.\d+, b\.example\.com 240\.240\.\d+\.\d+$/);
  expect(planned([entry('z')], [entry('a', { hosts: ['a.example.com', 'b.example.com'] })])[1]).toEqual(first);
});

test.each([
  ['it gives its own', { addresses: ['192.0.2.1'] }],
  ['clients choose where they go', { resolution: 'NONE' }],
  ['it does not want any', { labels: { 'networking.istio.io/enable-autoallocate-ip': 'false' } }],
  ['it has one', { found: { 'a.example.com': '240.240.1.1' } }],
] as const)('nothing is written where %s', (_, text) => {
  expect(planned([entry('a', text)])).toEqual([[]]);
});

test('of two with one address the older keeps it; whoever wrote it down himself is the oldest', () => {
  const found = (host: string) => ({ found: { [host]: '240.240.1.1' } });
  const younger = entry('a', { second: 2, ...found('a.example.com') });
  const older = entry('b', { second: 1, ...found('b.example.com') });
  const [both] = planned([younger, older]);
  expect(both).toHaveLength(1);
  expect(both![0]).toMatch(/^a: a\.example\.com 240\.240\.(?!1\.1$)/);
  const written = entry('c', { second: 3, addresses: ['240.240.1.1'] });
  expect(planned([older], [written])[1]![0]).toMatch(/^b: b\.example\.com 240\.240\.(?!1\.1$)/);
});

test('where pods have IPv6 each host has an address of it as well, in the end and from the start', () => {
  const found = { found: { 'a.example.com': '240.240.1.1' } };
  const [before, after] = plannedWith([false, true], [entry('a', found)], [entry('b')]);
  expect(before).toEqual([]);
  expect(after).toEqual([
    expect.stringMatching(/^a: a\.example\.com 240\.240\.1\.1, a\.example\.com 2001:2::[1-9a-f][0-9a-f]*$/),
    expect.stringMatching(/^b: b\.example\.com 240\.240\.\d+\.\d+, b\.example\.com 2001:2::[1-9a-f][0-9a-f]*$/),
  ]);
});

test('an address of IPv6 stays when the last pod of IPv6 is gone', () => {
  const both = entry('a');
  (both['status'] as { addresses: object[] }).addresses = ['240.240.1.1', '2001:2::1f'].map((value) => ({
    host: 'a.example.com',
    value,
  }));
  expect(plannedWith([true, false], [both], [])).toEqual([[], []]);
});

test('two who would start at the same place do not get the same', () => {
  const many = Array.from({ length: 600 }, (_, i) => entry(`e${i}`));
  const [all] = planned(many);
  const values = all!.map((line) => line.split(' ').at(-1));
  // Some of 600 among 65,536 start where another one is (a chance of 94 %); with these names they do.
  expect(new Set(values).size).toBe(600);
});

test('a host that comes later leaves the others as they are', () => {
  const before = entry('a', { hosts: ['a.example.com'], found: { 'a.example.com': '240.240.1.1' } });
  const after = entry('a', { hosts: ['a.example.com', 'b.example.com'], found: { 'a.example.com': '240.240.1.1' } });
  expect(planned([before], [after])[1]![0]).toMatch(/^a: a\.example\.com 240\.240\.1\.1, b\.example\.com 240\.240/);
});
