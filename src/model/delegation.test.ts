// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { MeshStore } from './store.ts';

const OPTIONS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };

const rule = (name: string, spec: object): KubeObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'default' },
  spec: { ...spec },
});
const answer = (status: number, match: object[] = []) => ({ match, directResponse: { status } });

function storeOf(...objects: KubeObject[]) {
  const store = new MeshStore({ ...OPTIONS, configCluster: 'c1' });
  const apply = (...changed: KubeObject[]) =>
    store.apply(changed.map((object) => ({ kind: 'upsert', cluster: 'c1', object }))).snapshot.index;
  apply(...objects);
  return { apply, rules: () => store.snapshot.index.virtualServices };
}

const prefix = (uri: string) => [{ uri: { prefix: uri } }];
const root = rule('root', {
  hosts: ['a.example'],
  http: [{ match: prefix('/cart'), delegate: { name: 'cart' } }, answer(200)],
});
const cart = (status: number) => rule('cart', { http: [answer(status, prefix('/cart/x')), answer(404)] });

test('a root has the routes of its delegate, and the delegate is no rule by itself', () => {
  const { rules } = storeOf(root, cart(201));
  expect(rules()).toHaveLength(1);
  const { spec } = rules()[0]!;
  expect(spec.http).toMatchObject([
    {
      match: [{ uri: { value: '/cart/x' } }],
      directResponse: { status: 201 },
      writtenAt: { object: { name: 'cart' } },
    },
    { match: [{ uri: { value: '/cart' } }], directResponse: { status: 404 } },
    { directResponse: { status: 200 }, writtenAt: { object: { name: 'root' }, field: 'spec.http[1]' } },
  ]);
});

test('it stays the same object until one of the two changes', () => {
  const { apply, rules } = storeOf(root, cart(201));
  const before = rules()[0];
  apply(rule('other', { hosts: ['b.example'], http: [answer(200)] }));
  expect(rules().find((vs) => vs.ref.name === 'root')).toBe(before);
  apply(cart(202));
  expect(rules().find((vs) => vs.ref.name === 'root')).not.toBe(before);
  apply(cart(201));
  expect(rules().find((vs) => vs.ref.name === 'root')?.spec).toEqual(before?.spec);
});

test.each([
  ['a longer prefix', prefix('/a'), prefix('/a/b'), 1],
  ['an exact path inside', prefix('/a'), [{ uri: { exact: '/a/b' } }], 1],
  ['a shorter prefix', prefix('/a/b'), prefix('/a'), 0],
  ['a prefix where an exact path is asked for', [{ uri: { exact: '/a' } }], prefix('/a'), 0],
  ['an expression beside a prefix', prefix('/a'), [{ uri: { regex: '/a.*' } }], 0],
  ['another condition', prefix('/a'), [{ method: { exact: 'GET' } }], 1],
  ['another method', [{ method: { exact: 'GET' } }], [{ method: { exact: 'PUT' } }], 0],
  ['a header that must be there', [{ headers: { x: {} } }], [{ headers: { x: { exact: '1' } } }], 1],
  ['another port', [{ port: 80 }], [{ port: 81 }], 0],
  ['the case of the path', prefix('/a'), [{ uri: { prefix: '/a' }, ignoreUriCase: true }], 0],
  ['a namespace that the root asks for and the delegate does not', [{ sourceNamespace: 'x' }], prefix('/'), 0],
  ['two matches of the root that fit', [...prefix('/a'), { port: 80 }], prefix('/a/b'), 2],
])('%s', (_, outer, own, matches) => {
  const { rules } = storeOf(
    rule('root', { hosts: ['a.example'], http: [{ match: outer, delegate: { name: 'own' } }] }),
    rule('own', { http: [answer(200, own)] }),
  );
  expect(rules()[0]!.spec.http.flatMap((route) => route.match)).toHaveLength(matches);
});
