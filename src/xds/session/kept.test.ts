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
