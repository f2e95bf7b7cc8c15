// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { applyJsonPatch, PatchFailure } from './json-patch.ts';

const DOCUMENT = { data: { a: '1', b: '2' }, list: ['x', 'y'] };

// RFC 6902, and what the recording patch-json shows of the real server.
test.each<[string, object, unknown]>([
  ['add a member', { op: 'add', path: '/data/c', value: '3' }, { ...DOCUMENT, data: { a: '1', b: '2', c: '3' } }],
  ['add an element', { op: 'add', path: '/list/1', value: 'n' }, { ...DOCUMENT, list: ['x', 'n', 'y'] }],
  ['append', { op: 'add', path: '/list/-', value: 'n' }, { ...DOCUMENT, list: ['x', 'y', 'n'] }],
  ['replace', { op: 'replace', path: '/data/a', value: '9' }, { ...DOCUMENT, data: { a: '9', b: '2' } }],
  [
    'replace what is missing',
    { op: 'replace', path: '/data/c', value: '3' },
    { ...DOCUMENT, data: { a: '1', b: '2', c: '3' } },
  ],
  ['replace an element', { op: 'replace', path: '/list/0', value: 'n' }, { ...DOCUMENT, list: ['n', 'y'] }],
  ['remove', { op: 'remove', path: '/data/a' }, { ...DOCUMENT, data: { b: '2' } }],
  ['remove an element', { op: 'remove', path: '/list/0' }, { ...DOCUMENT, list: ['y'] }],
  ['move', { op: 'move', from: '/data/a', path: '/c' }, { data: { b: '2' }, list: ['x', 'y'], c: '1' }],
  ['copy', { op: 'copy', from: '/list', path: '/c' }, { ...DOCUMENT, c: ['x', 'y'] }],
  ['test', { op: 'test', path: '/data', value: { b: '2', a: '1' } }, DOCUMENT],
  ['escapes', { op: 'add', path: '/data/a~1b~0c', value: 1 }, { ...DOCUMENT, data: { a: '1', b: '2', 'a/b~c': 1 } }],
  ['the whole', { op: 'replace', path: '', value: { n: 1 } }, { n: 1 }],
])('%s', (_name, operation, result) => {
  expect(applyJsonPatch(DOCUMENT, [operation])).toEqual(result);
});

test.each<[object | null, string]>([
  [
    { op: 'remove', path: '/nosuch' },
    "error in remove for path: '/nosuch': Unable to remove nonexistent key: nosuch: missing value",
  ],
  [
    { op: 'add', path: '/no/such', value: 1 },
    'add operation does not apply: doc is missing path: "/no/such": missing value',
  ],
  [{ op: 'add', path: '/list/9', value: 1 }, 'invalid index referenced'],
  [{ op: 'remove', path: '/list/2' }, 'invalid index referenced'],
  [{ op: 'replace', path: '/list/-', value: 1 }, 'invalid syntax'],
  [{ op: 'test', path: '/data/a', value: 'no' }, 'testing value /data/a failed: test failed'],
  [{ op: 'copy', from: '/nosuch', path: '/a' }, 'missing key: /nosuch'],
  [{ op: 'move', path: '/a' }, 'failed to decode from'],
  [{ op: 'frob', path: '/data/a' }, 'Unexpected kind: frob'],
  [{ op: 'add' }, 'needs an op and a path'],
  [null, 'needs an op and a path'],
])('%j fails', (operation, text) => {
  const attempt = () => applyJsonPatch(DOCUMENT, [operation]);
  expect(attempt).toThrow(PatchFailure);
  expect(attempt).toThrow(text);
});

test('the document stays as it was, and no path reaches a prototype', () => {
  const before = structuredClone(DOCUMENT);
  applyJsonPatch(DOCUMENT, [{ op: 'remove', path: '/data' }]);
  expect(DOCUMENT).toEqual(before);
  expect(() => applyJsonPatch({}, [{ op: 'add', path: '/__proto__/polluted', value: 1 }])).toThrow(PatchFailure);
  expect(() => applyJsonPatch({}, [{ op: 'add', path: '/constructor/prototype/polluted', value: 1 }])).toThrow(
    PatchFailure,
  );
  expect(({} as Record<string, unknown>).polluted).toBeUndefined();
});
