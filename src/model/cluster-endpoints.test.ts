// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { ServiceEntry } from '../api/service-entry.ts';
import { ClusterEndpoints } from './cluster-endpoints.ts';

const entry = (...addresses: string[]): ServiceEntry =>
  ({ spec: { traffic: {}, endpoints: addresses.map((address) => ({ address })) } }) as unknown as ServiceEntry;

test('names to look up are those that some entry has, each once, and the same list while they are the same', () => {
  const endpoints = new ClusterEndpoints('cluster.local');
  endpoints.setEntry('a/one', entry('b.example', 'a.example', '192.0.2.1', 'shop.default.svc.cluster.local'));
  endpoints.setEntry('a/two', entry('a.example'));
  const { names } = endpoints;
  expect(names).toEqual(['a.example', 'b.example']);
  endpoints.setEntry('a/one', entry('b.example', '192.0.2.2'));
  expect(endpoints.names).toBe(names);
  endpoints.setEntry('a/two', undefined);
  expect(endpoints.names).toEqual(['b.example']);
  endpoints.setEntry('a/one', entry('c.example'));
  expect(endpoints.names).toEqual(['c.example']);
});

test('a gateway whose name has addresses of both families is one endpoint, and not two', () => {
  const endpoints = new ClusterEndpoints('cluster.local');
  const spec = { traffic: {}, ports: [], endpoints: [{ address: 'a.example', labels: {}, ports: {}, weight: 3 }] };
  const both = { spec, ref: { namespace: 'a', name: 'one' } } as unknown as ServiceEntry;
  endpoints.setEntry('a/one', both);
  endpoints.setAnswers(new Map([['a.example', ['192.0.2.1', '192.0.2.2', '2001:db8::1']]]));
  const found = Object.values(endpoints.endpointsOf(both, () => undefined)).flat();
  expect(found.map(({ address, alternatives, weight }) => [address, alternatives, weight])).toEqual([
    ['192.0.2.1', ['2001:db8::1'], 3],
    ['192.0.2.2', undefined, 3],
  ]);
});
