// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KeptState, XdsResource } from '../types.ts';
import { Session } from './session.ts';
import { request } from './testing/model-client.ts';
import { CLUSTER_TYPE } from './type-urls.ts';

function cluster(name: string, version: string): XdsResource {
  return { typeUrl: CLUSTER_TYPE, name, version, value: Buffer.from(version) };
}

test('of thousands of clusters that are kept, those are looked at that have changed', () => {
  const names = Array.from({ length: 3000 }, (_, i) => `c${i}`);
  let looks = 0;
  const keep = (all: ReadonlyMap<string, XdsResource>): KeptState => {
    const find = (name: string) => {
      looks++;
      return all.get(name);
    };
    return new Map([[CLUSTER_TYPE, { find, all: () => all }]]);
  };
  const before = new Map(names.map((name) => [name, cluster(name, '1')]));
  const after = new Map([...before, ['c7', cluster('c7', '2')] as const]);
  after.delete('c8');
  const session = new Session({ variant: 'delta' });
  session.update(new Map([[CLUSTER_TYPE, new Map()]]), undefined, keep(before));
  // It brought them along from a control plane that pushed them.
  session.receive(
    { ...request(CLUSTER_TYPE, '', undefined), subscribe: ['*'], initialVersions: names.map((name) => [name, '1']) },
    0,
  );
  expect(session.next(0)).toBeUndefined();

  looks = 0;
  session.update(new Map([[CLUSTER_TYPE, new Map()]]), undefined, keep(after));
  const { resources, removed } = session.next(0)!;
  expect({ resources: resources.map(({ name }) => name), removed }).toEqual({ resources: ['c7'], removed: ['c8'] });
  expect(looks).toBeLessThan(10);
});

test('what was kept only because all was asked for is forgotten with that', () => {
  const all = new Map(Array.from({ length: 100 }, (_, i) => [`c${i}` as string, cluster(`c${i}`, '1')] as const));
  let wholes = 0;
  const keep = (): KeptState => {
    const whole = () => {
      wholes++;
      return all;
    };
    return new Map([[CLUSTER_TYPE, { find: (name) => all.get(name), all: whole }]]);
  };
  const session = new Session({ variant: 'delta' });
  const update = () => session.update(new Map([[CLUSTER_TYPE, new Map()]]), undefined, keep());
  update();
  const versions = [...all.keys()].map((name) => [name, '1'] as const);
  session.receive({ ...request(CLUSTER_TYPE, '', undefined), subscribe: ['*'], initialVersions: versions }, 0);
  update();
  // Two versions of all that is kept are compared while the client has much of it.
  expect(wholes).toBe(2);

  session.receive({ ...request(CLUSTER_TYPE, '', undefined), unsubscribe: ['*'] }, 0);
  update();
  expect(wholes).toBe(2);
});

test('a client may name as much as there is, though none of it is pushed', () => {
  // Together more than a stream may name of what there is not.
  const names = Array.from({ length: 100 }, (_, i) => `c${i}`.padEnd(100_000, '.'));
  const all = new Map(names.map((name) => [name, cluster(name, '1')] as const));
  const kept: KeptState = new Map([[CLUSTER_TYPE, { find: (name) => all.get(name), all: () => all }]]);
  const session = new Session({ variant: 'delta' });
  session.update(new Map([[CLUSTER_TYPE, new Map()]]), undefined, kept);
  const ask = (subscribe: readonly string[]) => () =>
    session.receive({ ...request(CLUSTER_TYPE, '', undefined), subscribe: [...subscribe] }, 0);
  expect(ask(names)).not.toThrow();
  expect(ask(names.map((name) => `${name}.`))).toThrow('of what there is not');
});
