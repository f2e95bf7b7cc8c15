// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { describeDifference } from './difference.ts';

const object = (kind: string, members: object): KubeObject => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'a' },
  ...members,
});
const between = (live: object, wanted: object, kind = 'Deployment') =>
  describeDifference(object(kind, live), object(kind, wanted));

test('fields by their paths, with both values, and nothing of what a server adds', () => {
  expect(between({ spec: { replicas: 1, added: true }, status: {} }, { spec: { replicas: 2 } })).toEqual([
    'spec.replicas: 1 -> 2',
  ]);
  expect(between({ spec: { args: ['a', 'b'] } }, { spec: { args: ['a', 'c'] } })).toEqual(['spec.args[1]: "b" -> "c"']);
  expect(between({}, { spec: { host: 'x' } })).toEqual(['spec: (none) -> {"host":"x"}']);
});

test('of lists and texts that have grown what has come and gone', () => {
  const ports = [{ port: 1, nodePort: 30_001 }, { port: 2 }];
  expect(between({ spec: { ports } }, { spec: { ports: [{ port: 1 }] } })).toEqual(['spec.ports: - {"port":2}']);
  expect(between({ data: { mesh: 'a: 1\nb: 2\n' } }, { data: { mesh: 'a: 1\nb: 3\n' } }, 'ConfigMap')).toEqual([
    'data.mesh: - b: 2',
    'data.mesh: + b: 3',
  ]);
  const long = 'x'.repeat(400);
  const [line] = between({ spec: { boot: `${long}1${long}` } }, { spec: { boot: `${long}2${long}` } });
  expect(line!.length).toBeLessThan(260);
  expect(line).toMatch(/x1x.* -> .*x2x/);
  expect(
    between({ spec: {} }, { spec: Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`f${i}`, i])) }),
  ).toHaveLength(13);
});

test('of a Secret the names of its keys alone', () => {
  const lines = between(
    { data: { a: 'b2xk', b: 'c2FtZQ==' } },
    { data: { a: 'bmV3', b: 'c2FtZQ==', c: 'bW9yZQ==' } },
    'Secret',
  );
  expect(lines).toEqual(['data[a]: another (not shown)', 'data[c]: added (not shown)']);
});
