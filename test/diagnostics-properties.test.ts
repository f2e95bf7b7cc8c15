// SPDX-License-Identifier: Apache-2.0
// What is said of objects together follows their changes: it is what a store says that is told of all of them now, whatever came
// and went before, and costs what looks for what has changed. Seeds are fixed; `make test-all` runs more of them.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshStore, StoreEvent } from '../src/model/store.ts';
import { rounds } from './fixture/counts.ts';
import { newStore, remove, upsert } from './fixture/mesh-store.ts';

const FACTOR = rounds(1, 50);
const pick = fc.constantFrom;

function mesh(kind: string, namespace: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { namespace, name }, spec };
}

function kubeService(namespace: string, name: string, spec: object): KubeObject {
  return { apiVersion: 'v1', kind: 'Service', metadata: { namespace, name }, spec };
}

const namespace = pick('alpha', 'beta');
const ports = pick(
  { name: 'http', port: 80 },
  { name: 'tcp', port: 80 },
  { name: 'http-own', port: 15001 },
  { name: 'http-b', port: 8080 },
);

const service = fc
  .record({ namespace, name: pick('reviews', 'orders'), ip: pick('10.96.0.1', '10.96.0.2'), ports })
  .map((of) => kubeService(of.namespace, of.name, { clusterIP: of.ip, selector: { app: of.name }, ports: [of.ports] }));

/** One that stands in the place of another, in a circle perhaps. */
const alias = fc
  .record({
    namespace,
    name: pick('reviews', 'alias'),
    externalName: pick('reviews.alpha.svc.cluster.local', 'alias.alpha.svc.cluster.local', 'shop.example'),
    ports,
  })
  .map((of) =>
    kubeService(of.namespace, of.name, { type: 'ExternalName', externalName: of.externalName, ports: [of.ports] }),
  );

const entry = fc
  .record({
    namespace,
    name: pick('one', 'two', 'three'),
    hosts: fc.subarray(['shop.example', 'tcp.example', 'reviews.alpha.global'], { minLength: 1 }),
    addresses: fc.oneof(
      fc.constant([]),
      fc.subarray(['240.0.0.1', '240.0.0.0/8', '10.96.0.0/16', '240.0.0.1/32', 'fd00::1']),
    ),
    protocol: pick('HTTP', 'TCP'),
    network: pick(undefined, 'n1', 'n2'),
    exportTo: pick(['*'], ['.']),
  })
  .map(({ namespace: own, name, network, protocol, ...spec }) =>
    mesh('ServiceEntry', own, name, {
      ...spec,
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'p', protocol }],
      endpoints: [{ address: '10.9.0.1', ...(network && { network }) }],
    }),
  );

const gateway = fc
  .record({
    name: pick('one', 'two'),
    selector: pick<Record<string, string>[]>({ app: 'reviews' }, { app: 'reviews' }, { app: 'order' }, { istio: 'x' }),
    port: pick(80, 8080),
    host: pick('*', 'shop.example'),
    protocol: pick('HTTP', 'TCP'),
  })
  .map(({ name, selector, port, host, protocol }) =>
    mesh('Gateway', 'alpha', name, {
      selector,
      servers: [{ port: { number: port, name: 'p', protocol }, hosts: [host] }],
    }),
  );

const virtualService = fc
  .record({
    name: pick('one', 'two', 'three'),
    host: pick('reviews', 'shop.example', '*.example', '*.alpha.svc.cluster.local', 'made.up'),
    gateways: pick(['mesh'], ['mesh'], ['one'], ['alpha/two', 'one', 'mesh']),
    port: pick(undefined, undefined, 80, 9999),
    subset: pick(undefined, 'v1', 'v3'),
    to: pick('reviews', 'alias', 'shop.example'),
    delegate: pick(undefined, undefined, { name: 'two' }),
  })
  .map(({ name, host, gateways, port, subset, to, delegate }) => {
    const match = port === undefined ? [] : [{ port }];
    const action = delegate === undefined ? { route: [{ destination: { host: to, subset } }] } : { delegate };
    return mesh('VirtualService', 'alpha', name, { hosts: [host], gateways, http: [{ match, ...action }] });
  });

const destinationRule = fc
  .record({
    namespace: pick('alpha', 'alpha', 'istio-system'),
    name: pick('one', 'two'),
    host: pick('reviews', 'shop.example', 'shop.example', '*.example', '*.local'),
    subsets: fc.subarray(['v1', 'v2']),
  })
  .map(({ namespace: own, name, host, subsets }) =>
    mesh('DestinationRule', own, name, {
      host,
      subsets: subsets.map((version) => ({ name: version, labels: { version } })),
    }),
  );

const settings = pick(
  {},
  {
    meshNetworks:
      '{"networks":{"n1":{"endpoints":[{"fromRegistry":"c"}],"gateways":[{"address":"1.2.3.4","port":1}]}}}',
  },
).map(
  (data): KubeObject => ({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { namespace: 'istio-system', name: 'istio' },
    data,
  }),
);

const object = fc.oneof(
  service,
  alias,
  entry,
  gateway,
  virtualService,
  virtualService,
  destinationRule,
  destinationRule,
  settings,
);
const nameOf = ({ kind, metadata }: KubeObject) => `${kind} ${metadata.namespace}/${metadata.name}`;
const batches = fc
  .array(fc.array(object, { minLength: 5, maxLength: 30 }), { minLength: 1, maxLength: 3 })
  .chain((all) =>
    fc.array(fc.array(fc.tuple(pick(...all.flat()), fc.boolean()), { minLength: 1, maxLength: 6 }), {
      minLength: 2,
      maxLength: 12,
    }),
  );

describe('what is said of objects together', { timeout: 60_000 * FACTOR }, () => {
  test('is what would be said of those that are there now', () => {
    const codes = new Set<string>();
    fc.assert(
      fc.property(batches, (changes) => {
        const present = new Map<string, KubeObject>();
        const store = newStore();
        for (const batch of changes) {
          const { diagnostics } = store.apply(
            batch.map(([changed, isThere]) => {
              if (isThere) present.set(nameOf(changed), changed);
              else present.delete(nameOf(changed));
              return isThere ? upsert(changed) : remove(changed);
            }),
          );
          expect(diagnostics).toEqual(newStore().apply([...present.values()].map(upsert)).diagnostics);
          for (const { code } of diagnostics) codes.add(code);
        }
      }),
      { numRuns: 200 * FACTOR, seed: 20260103 },
    );
    // What is never said is not compared.
    const said = [...codes].filter((code) => code.startsWith('ISM01')).sort();
    expect(said).toEqual(
      [
        '01',
        '02',
        '04',
        '05',
        '06',
        '08',
        '09',
        '10',
        '11',
        '13',
        '15',
        '19',
        '20',
        '21',
        '24',
        '25',
        '26',
        '27',
        '28',
      ].map((number) => `ISM01${number}`),
    );
  });

  test('is looked at again only where somebody looks for what has changed, however much there is', () => {
    const costs = [200, 800].map((count) => {
      const store = newStore();
      store.apply(Array.from({ length: count }, (_, i) => serviceWithRules(i)).flat());
      return {
        service: stepsOf(store, serviceWithRules(count).slice(0, 1)),
        rule: stepsOf(store, serviceWithRules(count).slice(1)),
        all: stepsOf(newStore(), Array.from({ length: count }, (_, i) => serviceWithRules(i)).flat()),
      };
    });
    const [few, many] = costs as [(typeof costs)[0], (typeof costs)[0]];
    expect(many).toMatchObject({ service: few.service, rule: few.rule });
    expect(many.all).toBeGreaterThan(3 * few.all);
  });
});

function serviceWithRules(i: number): StoreEvent[] {
  const name = `svc-${i}`;
  const destination = { host: name, subset: 'v1' };
  return [
    kubeService('alpha', name, {
      clusterIP: `10.96.${i >> 8}.${i & 255}`,
      selector: { app: name },
      ports: [{ name: 'http', port: 80 }],
    }),
    mesh('VirtualService', 'alpha', name, { hosts: [name], http: [{ route: [{ destination }] }] }),
    mesh('DestinationRule', 'alpha', name, { host: name, subsets: [{ name: 'v1', labels: { version: 'v1' } }] }),
  ].map(upsert);
}

/** Each thing that is looked at is one step. */
function stepsOf(store: MeshStore, events: readonly StoreEvent[]): number {
  const steps = store.applySteps(events);
  let count = 0;
  while (steps.next().done !== true) count++;
  return count;
}
