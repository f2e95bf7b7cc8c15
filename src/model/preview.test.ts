// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { previewObject } from './preview.ts';
import { MeshStore } from './store.ts';

const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };

function mesh(...objects: KubeObject[]) {
  const store = new MeshStore({ ...settings, configCluster: 'c1' });
  return store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'c1', object }))).snapshot.index;
}

function object(kind: string, name: string, spec: unknown): KubeObject {
  return { apiVersion: 'networking.istio.io/v1', kind, metadata: { name, namespace: 'default' }, spec };
}

const service: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'reviews', namespace: 'default' },
  spec: { clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 9080 }], selector: { app: 'reviews' } },
};
const subsets = object('DestinationRule', 'reviews', {
  host: 'reviews',
  subsets: [{ name: 'v1', labels: { version: 'v1' } }],
});
const route = (host: string, subset: string) =>
  object('VirtualService', 'reviews', { hosts: ['reviews'], http: [{ route: [{ destination: { host, subset } }] }] });

test('a subset and a host that nobody defines are told before the object is there', () => {
  const index = mesh(service, subsets);
  expect(previewObject(index, route('reviews', 'v1'))).toEqual([]);
  expect(previewObject(index, route('reviews', 'v9')).map((d) => [d.code, d.field])).toEqual([
    ['ISM0102', expect.stringContaining('spec.http[0].route[0].destination')],
  ]);
  expect(previewObject(index, route('reviewz', 'v1'))[0]).toMatchObject({ code: 'ISM0101' });
});

test('the object replaces its older self, whatever version of the API that was written in', () => {
  const index = mesh(service, subsets, { ...route('reviews', 'v9'), apiVersion: 'networking.istio.io/v1alpha3' });
  expect(previewObject(index, route('reviews', 'v1'))).toEqual([]);
});

test('an address that another entry has is told', () => {
  const entry = (name: string) =>
    object('ServiceEntry', name, {
      hosts: [`${name}.default.global`],
      addresses: ['240.0.0.1'],
      ports: [{ number: 3306, name: 'tcp-db', protocol: 'TCP' }],
      resolution: 'STATIC',
      endpoints: [{ address: '172.31.0.120' }],
    });
  const index = mesh(entry('one'));
  expect(previewObject(index, entry('one'))).toEqual([]);
  expect(previewObject(index, entry('two')).map((d) => d.code)).toEqual(['ISM0105']);
});

test('what is no mesh object, or a refused one, has nothing to be told here', () => {
  expect(previewObject(mesh(), service)).toEqual([]);
  expect(previewObject(mesh(), object('VirtualService', 'x', { hosts: 7 }))).toEqual([]);
});
