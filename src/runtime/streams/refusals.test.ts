// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import { TYPE_URL } from '../../envoy/names.ts';
import type { XdsResource } from '../../xds/types.ts';
import { type Refusal, Refusals, shortenRefusal } from './refusals.ts';

const API = 'networking.istio.io/v1';
const ref = (name: string): ObjectRef => ({ apiVersion: API, kind: 'VirtualService', namespace: 'default', name });
const table = (version: string, name = '80'): XdsResource => ({
  typeUrl: TYPE_URL.routes,
  name,
  version,
  value: new Uint8Array(),
});

const onError = (error: Error): void => {
  throw error;
};

/** Proxies with a table of routes each, made of the objects that are named beside it. */
function start() {
  const left: string[] = [];
  const told: Refusal[] = [];
  const engine = {
    lastChanged: (refs: readonly ObjectRef[]) => refs.map((each) => ({ ref: each, at: 1 })).at(-1),
    refuse: ({ name }: ObjectRef, _: Diagnostic) => left.push(name),
    restore: () => {},
  };
  const refusals = new Refusals({ engine, onRefusal: (refusal) => told.push(refusal), onError, answerMs: 10 });
  return {
    left,
    told,
    connect: (id: string, of: XdsResource, objects: readonly string[]) => {
      const compiled = {
        desired: new Map([[TYPE_URL.routes, new Map([[of.name, of]])]]),
        secrets: [],
        origins: () => objects.map((name) => ({ object: ref(name) })),
      };
      const answers = refusals.open({ id, client: id, compiled: () => compiled, compileNow: () => compiled });
      return {
        take: () => answers.acknowledged(TYPE_URL.routes, [of]),
        refuse: () => {
          const resources = new Map([[of.name, of.version]]);
          answers.rejected({ typeUrl: TYPE_URL.routes, resources, nonce: '1', message: 'no' });
        },
        close: () => answers.closed(),
      };
    },
  };
}

test('what the only proxy refuses is left out at once', () => {
  const { connect, left, told } = start();
  connect('a', table('1'), ['good', 'bad']).refuse();
  expect(left).toEqual(['bad']);
  expect(told).toMatchObject([{ proxy: 'a', blamed: [{ name: 'bad' }] }]);
});

test('what one proxy refuses and another takes is left out for nobody, and told', async () => {
  const { connect, left, told } = start();
  const shared = table('1');
  const [old, young] = [connect('old', shared, ['good', 'new']), connect('young', shared, ['good', 'new'])];
  old.refuse();
  young.take();
  await expect.poll(() => told).toMatchObject([{ proxy: 'old', blamed: [{ name: 'good' }, { name: 'new' }] }]);
  expect(left).toEqual([]);
});

test('nor does a table of its own give a proxy a say over what others have taken', async () => {
  const { connect, left, told } = start();
  connect('others', table('1'), ['everybodys']).take();
  const hostile = connect('hostile', table('2'), ['its-own', 'everybodys']);
  hostile.refuse();
  await expect.poll(() => told.length).toBe(1);
  expect(left).toEqual(['its-own']);
});

test('what nobody takes is left out; the word of a proxy that has gone meanwhile does not count', async () => {
  const { connect, left, told } = start();
  const shared = table('1');
  const proxies = ['a', 'b', 'c'].map((id) => connect(id, shared, ['good', 'bad']));
  proxies[0]?.refuse();
  proxies[0]?.close();
  proxies[1]?.refuse();
  await expect.poll(() => told).toMatchObject([{ proxy: 'b', blamed: [{ name: 'bad' }] }]);
  expect(left).toEqual(['bad']);
});

test('of a proxy whose configuration cannot be computed by then nothing is left out', async () => {
  const { left, told } = { left: [] as string[], told: [] as Refusal[] };
  const engine = {
    lastChanged: (refs: readonly ObjectRef[]) => refs.map((each) => ({ ref: each, at: 1 })).at(-1),
    refuse: ({ name }: ObjectRef) => left.push(name),
    restore: () => {},
  };
  const refusals = new Refusals({ engine, onRefusal: (refusal) => told.push(refusal), onError, answerMs: 10 });
  const desired = new Map([[TYPE_URL.routes, new Map([['80', table('1')]])]]);
  const compiled = { desired, secrets: [], origins: () => [{ object: ref('bad') }] };
  let isBroken = false;
  let asked = 0;
  const compileNow = () => {
    asked++;
    if (isBroken) throw new Error('it cannot be computed');
    return compiled;
  };
  refusals.open({ id: 'other', client: 'other', compiled: () => undefined, compileNow });
  const answers = refusals.open({ id: 'a', client: 'a', compiled: () => compiled, compileNow });
  answers.rejected({ typeUrl: TYPE_URL.routes, resources: new Map([['80', '1']]), nonce: '1', message: 'no' });
  isBroken = true;
  await expect.poll(() => asked).toBe(2);
  expect({ left, told }).toEqual({ left: [], told: [] });
});

test('a refusal that cannot be judged, once others have had their time, is told as that and ends nothing', async () => {
  const errors: string[] = [];
  const engine = {
    lastChanged: (refs: readonly ObjectRef[]) => refs.map((each) => ({ ref: each, at: 1 })).at(-1),
    refuse: () => {
      throw new Error('the state before cannot be made');
    },
    restore: () => {},
  };
  const options = { engine, onRefusal: () => {}, answerMs: 10 };
  const refusals = new Refusals({ ...options, onError: ({ message }) => errors.push(message) });
  const desired = new Map([[TYPE_URL.routes, new Map([['80', table('1')]])]]);
  const compiled = { desired, secrets: [], origins: () => [{ object: ref('bad') }] };
  const open = (id: string) => refusals.open({ id, client: id, compiled: () => compiled, compileNow: () => compiled });
  open('other');
  const resources = new Map([['80', '1']]);
  open('a').rejected({ typeUrl: TYPE_URL.routes, resources, nonce: '1', message: 'no' });
  await expect.poll(() => errors).toEqual(['the state before cannot be made']);
});

test('of a thousand resources that are refused together a few are told, those first that Envoy names', () => {
  const told: Refusal[] = [];
  const engine = { lastChanged: () => undefined, refuse: () => {}, restore: () => {} };
  const refusals = new Refusals({ engine, onRefusal: (refusal) => told.push(refusal), onError });
  const compiled = { desired: new Map(), secrets: [], origins: () => [] };
  const answers = refusals.open({ id: 'a', client: 'a', compiled: () => compiled, compileNow: () => compiled });
  const resources = new Map(Array.from({ length: 1000 }, (_, i) => [`outbound|80||h${i}.example.com`, '1']));
  const nack = { typeUrl: TYPE_URL.cluster, resources, nonce: '1' };
  answers.rejected({ ...nack, message: 'Error adding outbound|80||h777.example.com: no' });
  expect(told.map(({ resource }) => resource)).toEqual(['outbound|80||h777.example.com']);
  answers.rejected({ ...nack, message: 'no' });
  expect(told).toHaveLength(1 + 8);
});

test('of a refusal that recites the whole message the reason alone is told', () => {
  const path =
    'RouteConfigurationValidationError.VirtualHosts[0]: embedded message failed validation | caused by ' +
    'QueryParameterMatcherValidationError.Name: value length must be at least 1 characters';
  const recited = `goo.gle/debugstr  \nname: "8000"\nvirtual_hosts {\n}\n: Proto constraint validation failed (${path})`;
  expect(shortenRefusal(recited)).toBe(
    'constraint violated: QueryParameterMatcherValidationError.Name: value length must be at least 1 characters',
  );
  expect(shortenRefusal('Invalid path: /no/such/file')).toBe('Invalid path: /no/such/file');
});
