// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { builtinType, loadBuiltinTypes } from '../schema/builtin.ts';
import { applyJsonPatch, PatchFailure } from './json-patch.ts';
import { applyMergePatch } from './merge-patch.ts';
import { applyStrategicMerge } from './strategic-merge.ts';

test('JSON patch: the operations, in order, on a copy', () => {
  const document = { a: { b: 1 }, list: [1, 2, 3] };
  const patched = applyJsonPatch(document, [
    { op: 'test', path: '/a/b', value: 1 },
    { op: 'add', path: '/list/1', value: 9 },
    { op: 'add', path: '/list/-', value: 4 },
    { op: 'remove', path: '/list/0' },
    { op: 'move', from: '/a/b', path: '/c~1d' },
    { op: 'copy', from: '/list', path: '/copy' },
    { op: 'replace', path: '/a', value: null },
  ]);
  expect(patched).toEqual({ a: null, 'c/d': 1, list: [9, 2, 3, 4], copy: [9, 2, 3, 4] });
  expect(document).toEqual({ a: { b: 1 }, list: [1, 2, 3] });
});

test.each([
  [{ op: 'test', path: '/a', value: 2 }],
  [{ op: 'remove', path: '/nothing' }],
  [{ op: 'add', path: '/list/9', value: 1 }],
  [{ op: 'add', path: '/x/y', value: 1 }],
  [{ op: 'frob', path: '/a' }],
  [{ op: 'add', path: 'a', value: 1 }],
])('JSON patch refuses %j', (operation) => {
  expect(() => applyJsonPatch({ a: 1, list: [] }, [operation])).toThrow(PatchFailure);
});

test('merge patch: null removes, objects merge, lists are replaced', () => {
  const target = { a: 1, b: { c: 2, d: 3 }, list: [1, 2] };
  expect(applyMergePatch(target, { a: null, b: { c: null, e: 4 }, list: [3] })).toEqual({
    b: { d: 3, e: 4 },
    list: [3],
  });
});

const deployment = builtinType(loadBuiltinTypes(), 'apps.v1.Deployment');
const withContainers = (
  containers: unknown[],
  strategy: unknown = { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } },
) => ({
  metadata: { name: 'd', finalizers: ['a/a', 'b/b'] },
  spec: { strategy, template: { spec: { containers } } },
});
const MAIN = { name: 'main', image: 'm:1', env: [{ name: 'A', value: '1' }] };
const SIDE = { name: 'side', image: 's:1' };

function patched(patch: Record<string, unknown>) {
  const result = applyStrategicMerge(withContainers([MAIN, SIDE]), patch, deployment) as ReturnType<
    typeof withContainers
  >;
  return result;
}
const containersOf = (patch: unknown) => patched({ spec: { template: { spec: patch } } }).spec.template.spec.containers;

test('strategic merge: lists by their merge key', () => {
  expect(
    containersOf({ containers: [{ name: 'main', image: 'm:2', env: [{ name: 'B', value: '2' }] }, { name: 'new' }] }),
  ).toEqual([
    {
      name: 'main',
      image: 'm:2',
      env: [
        { name: 'B', value: '2' },
        { name: 'A', value: '1' },
      ],
    },
    { name: 'new' },
    SIDE,
  ]);
});

test('strategic merge: $patch delete and replace', () => {
  expect(containersOf({ containers: [{ name: 'side', $patch: 'delete' }] })).toEqual([MAIN]);
  expect(containersOf({ containers: [{ $patch: 'replace' }, { name: 'only' }] })).toEqual([{ name: 'only' }]);
  expect(containersOf({ containers: [{ name: 'main', $patch: 'replace', image: 'x' }] })[0]).toEqual({
    name: 'main',
    image: 'x',
  });
});

test('strategic merge: $setElementOrder keeps what only the server has in place', () => {
  const order = { '$setElementOrder/containers': [{ name: 'new' }, { name: 'main' }], containers: [{ name: 'new' }] };
  expect(containersOf(order).map((one) => (one as { name: string }).name)).toEqual(['new', 'main', 'side']);
});

test('strategic merge: $retainKeys and $deleteFromPrimitiveList', () => {
  expect(patched({ spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }).spec.strategy).toEqual({
    type: 'Recreate',
  });
  expect(
    patched({ metadata: { '$deleteFromPrimitiveList/finalizers': ['a/a'], finalizers: ['c/c'] } }).metadata.finalizers,
  ).toEqual(['c/c', 'b/b']);
});

test('strategic merge refuses items without their key and unknown directives', () => {
  expect(() => containersOf({ containers: [{ image: 'x' }] })).toThrow(
    'map: map[image:x] does not contain declared merge key: name',
  );
  expect(() => containersOf({ containers: [{ name: 'main', $patch: 'bogus' }] })).toThrow(
    'unknown patch type: bogus in map: map[$patch:bogus name:main]',
  );
});
