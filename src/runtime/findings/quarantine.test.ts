// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { ObjectRef } from '../../api/diagnostics.ts';
import type { KubeObject } from '../../kube/types.ts';
import { MeshStore } from '../../model/store.ts';
import { MeshEngine } from '../mesh-engine.ts';
import { Quarantine } from './quarantine.ts';

const API = 'networking.istio.io/v1';

function virtualService(name: string, timeout = '1s'): KubeObject {
  const spec = {
    hosts: [`${name}.default.svc.cluster.local`],
    http: [{ timeout, route: [{ destination: { host: name } }] }],
  };
  return { apiVersion: API, kind: 'VirtualService', metadata: { name, namespace: 'default' }, spec };
}

const ref = (name: string): ObjectRef => ({ apiVersion: API, kind: 'VirtualService', namespace: 'default', name });

/** A mesh whose proxies refuse the table while one of `bad` is in it. */
function start(...bad: string[]) {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'c1' });
  const engine = new MeshEngine({
    store,
    clusters: [],
    compile: () => ({ desired: new Map(), secrets: [], origins: () => [] }),
  });
  const source = engine.listener('test');
  let nowMs = 0;
  const quarantine = new Quarantine(engine, () => nowMs);
  const inForce = () =>
    store.snapshot.index.virtualServices.map((vs) => `${vs.ref.name} ${vs.spec.http[0]?.timeout}`).sort();
  const isBad = () => inForce().some((entry) => bad.includes(entry));
  return {
    refusals: () => engine.diagnostics.filter(({ code }) => code === 'ISM0201'),
    inForce,
    wait: (ms: number) => {
      nowMs += ms;
    },
    apply: (...objects: KubeObject[]) =>
      source.events(objects.map((object) => ({ kind: 'upsert', cluster: 'c1', object }))),
    /** The proxies' answers until they are content; whom each was about. */
    settle: () => {
      const blamed: (string | undefined)[] = [];
      while (isBad() && blamed.length < 20) {
        const origins = store.snapshot.index.virtualServices.map((vs) => vs.ref);
        const found = quarantine.take({ resource: 'routes 9080', message: 'no such thing', origins });
        blamed.push(found?.name);
        if (found === undefined) break;
      }
      return blamed;
    },
  };
}

test('a new object that Envoy refuses is left out, and the others come into force', () => {
  const mesh = start('bad 1000');
  mesh.apply(virtualService('good'));
  mesh.apply(virtualService('bad'));
  expect(mesh.settle()).toEqual(['bad']);
  expect(mesh.inForce()).toEqual(['good 1000']);
  expect(mesh.refusals()).toMatchObject([
    { code: 'ISM0201', object: ref('bad'), message: expect.stringContaining('no such thing') },
  ]);
  mesh.apply(virtualService('good', '2s'));
  expect(mesh.inForce()).toEqual(['good 2000']);
});

test('a change for the worse leaves the earlier state in force, and a change for the better ends it', () => {
  const mesh = start('a 9000');
  mesh.apply(virtualService('a'));
  mesh.apply(virtualService('a', '9s'));
  expect(mesh.settle()).toEqual(['a']);
  expect(mesh.inForce()).toEqual(['a 1000']);
  // The source says the same again: that changes nothing.
  mesh.apply(virtualService('a', '9s'));
  expect(mesh.inForce()).toEqual(['a 1000']);
  mesh.apply(virtualService('a', '3s'));
  expect(mesh.inForce()).toEqual(['a 3000']);
  expect(mesh.refusals()).toEqual([]);
});

test('who was suspected wrongly is let in again', () => {
  const mesh = start('bad 1000');
  mesh.apply(virtualService('bad'), virtualService('b'), virtualService('c'));
  expect(mesh.settle()).toEqual(['c', 'b', 'bad']);
  expect(mesh.inForce()).toEqual(['b 1000', 'c 1000']);
  expect(mesh.refusals().map((d) => d.object.name)).toEqual(['bad']);
});

test('a second bad object a moment later does not set the first one free', () => {
  const mesh = start('one 1000', 'two 1000');
  mesh.apply(virtualService('good'));
  mesh.apply(virtualService('one'));
  expect(mesh.settle()).toEqual(['one']);
  mesh.wait(1_000);
  mesh.apply(virtualService('two'));
  expect(mesh.settle()).toEqual(['two']);
  expect(mesh.inForce()).toEqual(['good 1000']);
});

test('where no single object is at fault the search ends, and everybody is let in again', () => {
  const mesh = start('a 1000', 'b 1000');
  mesh.apply(virtualService('a'), virtualService('b'));
  expect(mesh.settle()).toEqual(['b', 'a', undefined]);
  expect(mesh.inForce()).toEqual(['a 1000', 'b 1000']);
});
