// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { SCHEMA_VERSION } from './migrations.ts';
import { SqliteStore } from './sqlite-store.ts';
import { type ObjectKey, RevisionCompacted, StoreConflict } from './store.ts';

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'store-'));
  path = join(dir, 'state.db');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const key = (name: string, namespace = 'default'): ObjectKey => ({ resource: 'configmaps', namespace, name });
const object = (name: string, data: Record<string, string> = {}): KubeObject => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
});
const names = (list: readonly { key: ObjectKey }[]) => list.map((one) => one.key.name);

test('every write has a revision of its own, and the object carries it', () => {
  const store = new SqliteStore(path);
  const first = store.create(key('a'), object('a'));
  const second = store.update(key('a'), object('a', { x: '1' }), first.revision);
  expect(second.revision).toBe(first.revision + 1);
  expect(second.object.metadata.resourceVersion).toBe(String(second.revision));
  expect(store.revision).toBe(second.revision);
  store.close();
});

test('a write against another revision than the current one is refused and changes nothing', () => {
  const store = new SqliteStore(path);
  const { revision } = store.create(key('a'), object('a'));
  store.update(key('a'), object('a', { x: '1' }), revision);
  expect(() => store.update(key('a'), object('a', { x: '2' }), revision)).toThrow(StoreConflict);
  expect(() => store.delete(key('a'), revision)).toThrow(StoreConflict);
  expect(() => store.create(key('a'), object('a'))).toThrow(StoreConflict);
  expect(store.get(key('a'))?.object['data']).toEqual({ x: '1' });
  store.close();
});

test('what was written is there after a restart, events and revision included', () => {
  const store = new SqliteStore(path);
  store.create(key('a'), object('a', { x: '1' }));
  const { revision } = store.create(key('b'), object('b'));
  store.delete(key('b'), revision);
  const before = store.revision;
  store.close();
  const again = new SqliteStore(path);
  expect(again.revision).toBe(before);
  expect(names(again.list('configmaps'))).toEqual(['a']);
  expect(again.eventsSince('configmaps', 1).map(({ type }) => type)).toEqual(['ADDED', 'ADDED', 'DELETED']);
  expect(again.eventsSince('configmaps', 1)[2]?.previous?.key.name).toBe('b');
  again.close();
});

test('lists are sorted by namespace and name, and can be had as they were', () => {
  const store = new SqliteStore(path);
  for (const name of ['c', 'a', 'b']) store.create(key(name), object(name));
  store.create(key('z', 'alpha'), { ...object('z'), metadata: { name: 'z', namespace: 'alpha' } });
  const then = store.revision;
  store.delete(key('a'), store.get(key('a'))!.revision);
  store.update(key('b'), object('b', { x: '2' }), store.get(key('b'))!.revision);
  store.create(key('d'), object('d'));
  expect(names(store.list('configmaps'))).toEqual(['z', 'b', 'c', 'd']);
  expect(names(store.listAt('configmaps', 'default', then))).toEqual(['a', 'b', 'c']);
  expect(store.listAt('configmaps', 'default', then)[1]?.object['data']).toEqual({});
  store.close();
});

test('a log that has been shortened refuses what it no longer knows, also after a restart', () => {
  const store = new SqliteStore(path, { keepEvents: 10 });
  for (let i = 0; i < 30; i++) store.create(key(`n${i}`), object(`n${i}`));
  expect(() => store.eventsSince('configmaps', 2)).toThrow(RevisionCompacted);
  expect(() => store.listAt('configmaps', undefined, 2)).toThrow(RevisionCompacted);
  expect(store.eventsSince('configmaps', store.revision - 5)).toHaveLength(5);
  const kept = store.eventsSince('configmaps', store.revision - 10).length;
  store.close();
  const again = new SqliteStore(path, { keepEvents: 10 });
  expect(() => again.eventsSince('configmaps', 2)).toThrow(RevisionCompacted);
  expect(again.eventsSince('configmaps', again.revision - 10)).toHaveLength(kept);
  again.close();
});

test('stored objects share nothing with the caller and cannot be changed', () => {
  const store = new SqliteStore(path);
  const mine = object('a', { x: '1' });
  const stored = store.create(key('a'), mine);
  (mine['data'] as Record<string, string>)['x'] = 'changed';
  expect(store.get(key('a'))?.object['data']).toEqual({ x: '1' });
  expect(() => Object.assign(stored.object.metadata, { name: 'other' })).toThrow(TypeError);
  store.close();
});

test('listeners hear of their own resource until they leave', () => {
  const store = new SqliteStore(path);
  const heard: string[] = [];
  const leave = store.subscribe('configmaps', ({ type, stored }) => heard.push(`${type} ${stored.key.name}`));
  store.create(key('a'), object('a'));
  store.create({ resource: 'secrets', namespace: 'default', name: 's' }, object('s'));
  leave();
  store.create(key('b'), object('b'));
  expect(heard).toEqual(['ADDED a']);
  store.close();
});

test('the state is readable by its owner alone', () => {
  const store = new SqliteStore(path);
  store.create(key('a'), object('a'));
  for (const file of [path, `${path}-wal`]) expect(statSync(file).mode & 0o777).toBe(0o600);
  store.close();
});

test('a state of a newer schema is refused and left untouched', () => {
  new SqliteStore(path).close();
  const db = new DatabaseSync(path);
  db.exec(`PRAGMA user_version=${SCHEMA_VERSION + 1}`);
  db.close();
  const before = readFileSync(path);
  expect(() => new SqliteStore(path)).toThrow(/newer Isthmus.*untouched/s);
  expect(readFileSync(path).equals(before)).toBe(true);
});

test("another program's database is refused", () => {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA application_id=7; CREATE TABLE mine (x); PRAGMA user_version=1');
  db.close();
  expect(() => new SqliteStore(path)).toThrow(/not the state of an Isthmus API server/);
});

test('an older schema is brought up to date', () => {
  const db = new DatabaseSync(path);
  db.exec('PRAGMA user_version=0');
  db.close();
  const store = new SqliteStore(path);
  store.create(key('a'), object('a'));
  store.close();
  const after = new DatabaseSync(path, { readOnly: true });
  expect(after.prepare('PRAGMA user_version').get()).toEqual({ user_version: SCHEMA_VERSION });
  after.close();
});

test('a listener that throws does not undo the write, nor keep others from hearing of it', () => {
  const reported: unknown[] = [];
  const store = new SqliteStore(path, { report: (error) => reported.push(error) });
  const heard: string[] = [];
  store.subscribe('configmaps', () => {
    throw new Error('broken');
  });
  store.subscribe('configmaps', ({ stored }) => heard.push(stored.key.name));
  store.create(key('a'), object('a'));
  expect(heard).toEqual(['a']);
  expect(reported).toHaveLength(1);
  store.close();
});
