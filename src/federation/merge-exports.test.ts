// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { mergeExports } from './merge-exports.ts';

const spec = (subjectAltNames: readonly string[]) => ({
  cluster: '',
  exportedAt: '2026-01-01T00:00:00Z',
  type: 'ClusterSetIP' as const,
  ports: [],
  ready: 1,
  localities: [],
  subsets: [],
  gateways: [],
  subjectAltNames,
  traffic: undefined,
});
const NAMES = ['spiffe://cluster.local/ns/shop/sa/web'];

test('a cluster with pods and no names does not open a service to whoever answers', () => {
  const silent = { cluster: 'c1', spec: spec([]) };
  expect(mergeExports([silent, { cluster: 'c2', spec: spec(NAMES) }]).subjectAltNames).toEqual(NAMES);
  expect(mergeExports([silent]).subjectAltNames).toEqual([]);
});
