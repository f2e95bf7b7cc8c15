// SPDX-License-Identifier: Apache-2.0
// Objects live in memory for reading and in SQLite for keeping: a write is first committed (WAL, synchronous=FULL),
// then shown. So a reader never sees what a crash could take back.
import { chmodSync } from 'node:fs';
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import type { KubeObject } from '../../../kube/types.ts';
import { openDatabase } from './migrations.ts';
import {
  type ObjectKey,
  type ObjectStore,
  RevisionCompacted,
  StorageFailure,
  StoreConflict,
  type StoredObject,
  type StoreEvent,
} from './store.ts';

export interface SqliteStoreOptions {
  /** The log keeps at least this many events for watchers that come back. */
  readonly keepEvents?: number;
  /** Hears of listeners that threw: the write that they were told of is done all the same. */
  readonly report?: (error: unknown) => void;
}

const DEFAULT_KEEP_EVENTS = 2_000;

interface Shelf {
  readonly objects: Map<string, StoredObject>;
  /** In the order of keys; undefined until somebody lists. Never changed in place: whoever listed goes on with it. */
  sorted: readonly StoredObject[] | undefined;
  readonly listeners: Set<(event: StoreEvent) => void>;
}

export class SqliteStore implements ObjectStore {
  readonly #db: DatabaseSync;
  readonly #path: string;
  readonly #statements: Statements;
  readonly #shelves = new Map<string, Shelf>();
  readonly #keepEvents: number;
  readonly #report: (error: unknown) => void;
  #events: StoreEvent[] = [];
  #revision = 1;
  /** Events up to and including this revision are gone. */
  #compacted = 0;

  constructor(path: string, options: SqliteStoreOptions = {}) {
    this.#keepEvents = options.keepEvents ?? DEFAULT_KEEP_EVENTS;
    this.#report = options.report ?? (() => {});
    this.#path = path;
    this.#db = openDatabase(path);
    for (const file of [path, `${path}-wal`, `${path}-shm`]) restrict(file);
    this.#statements = prepareStatements(this.#db);
    this.#load();
  }

  get revision(): number {
    return this.#revision;
  }

  get(key: ObjectKey): StoredObject | undefined {
    return this.#shelves.get(key.resource)?.objects.get(shelfKey(key));
  }

  list(resource: string, namespace?: string): readonly StoredObject[] {
    const shelf = this.#shelves.get(resource);
    if (!shelf) return [];
    shelf.sorted ??= [...shelf.objects.values()].sort(compareKeys);
    return namespace === undefined ? shelf.sorted : shelf.sorted.filter(({ key }) => key.namespace === namespace);
  }

  listAt(resource: string, namespace: string | undefined, revision: number): readonly StoredObject[] {
    if (revision >= this.#revision) return this.list(resource, namespace);
    if (revision < this.#compacted) throw new RevisionCompacted(revision, this.#compacted);
    const objects = new Map(this.#shelves.get(resource)?.objects);
    for (let i = this.#events.length - 1; i >= 0; i--) {
      const event = this.#events[i]!;
      if (event.revision <= revision) break;
      if (event.stored.key.resource !== resource) continue;
      const at = shelfKey(event.stored.key);
      if (event.previous) objects.set(at, event.previous);
      else objects.delete(at);
    }
    return [...objects.values()]
      .filter(({ key }) => namespace === undefined || key.namespace === namespace)
      .sort(compareKeys);
  }

  create(key: ObjectKey, object: KubeObject): StoredObject {
    const current = this.get(key);
    if (current) throw new StoreConflict('exists', current);
    return this.#write('ADDED', key, object, undefined);
  }

  update(key: ObjectKey, object: KubeObject, expectedRevision: number): StoredObject {
    return this.#write('MODIFIED', key, object, this.#expect(key, expectedRevision));
  }

  delete(key: ObjectKey, expectedRevision: number): StoredObject {
    const current = this.#expect(key, expectedRevision);
    return this.#write('DELETED', key, current.object, current);
  }

  eventsSince(resource: string, revision: number): readonly StoreEvent[] {
    if (revision < this.#compacted) throw new RevisionCompacted(revision, this.#compacted);
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#events[middle]!.revision <= revision) low = middle + 1;
      else high = middle;
    }
    return this.#events.slice(low).filter((event) => event.stored.key.resource === resource);
  }

  subscribe(resource: string, listener: (event: StoreEvent) => void): () => void {
    const { listeners } = this.#shelf(resource);
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  resources(): readonly string[] {
    return [...this.#shelves].filter(([, shelf]) => shelf.objects.size > 0).map(([resource]) => resource);
  }

  close(): void {
    this.#db.close();
  }

  #expect(key: ObjectKey, revision: number): StoredObject {
    const current = this.get(key);
    if (current?.revision !== revision) throw new StoreConflict('revision', current);
    return current;
  }

  #write(
    type: StoreEvent['type'],
    key: ObjectKey,
    object: KubeObject,
    previous: StoredObject | undefined,
  ): StoredObject {
    const revision = this.#revision + 1;
    const stored = makeStored(
      key,
      { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } },
      revision,
    );
    const event: StoreEvent = { revision, type, stored, previous };
    this.#commit(event);
    this.#revision = revision;
    const shelf = this.#shelf(key.resource);
    if (type === 'DELETED') shelf.objects.delete(shelfKey(key));
    else shelf.objects.set(shelfKey(key), stored);
    if (shelf.sorted) shelf.sorted = sortedAfter(shelf.sorted, event);
    this.#events.push(event);
    for (const listener of [...shelf.listeners]) {
      try {
        listener(event);
      } catch (error) {
        this.#report(error);
      }
    }
    return stored;
  }

  #commit(event: StoreEvent): void {
    const { key, json } = event.stored;
    const place = [key.resource, key.namespace, key.name] as const;
    // Compacting in steps of a tenth keeps the cost of it off most writes.
    const excess = this.#events.length + 1 - this.#keepEvents;
    const compactTo = excess > this.#keepEvents / 10 ? this.#events[excess - 1]!.revision : undefined;
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      this.#statements.setCounter.run(event.revision, 'revision');
      this.#statements.addEvent.run(event.revision, event.type, ...place, json, event.previous?.json ?? null);
      if (event.type === 'DELETED') this.#statements.remove.run(...place);
      else this.#statements.put.run(...place, event.revision, json);
      if (compactTo !== undefined) {
        this.#statements.dropEvents.run(compactTo);
        this.#statements.setCounter.run(compactTo, 'compacted');
      }
      this.#db.exec('COMMIT');
    } catch (error) {
      // A failed COMMIT (disk full) may have ended the transaction by itself.
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw asStorageFailure(error, this.#path);
    }
    if (compactTo !== undefined) {
      this.#compacted = compactTo;
      this.#events = this.#events.slice(excess);
    }
  }

  #shelf(resource: string): Shelf {
    let shelf = this.#shelves.get(resource);
    if (!shelf) {
      shelf = { objects: new Map(), sorted: undefined, listeners: new Set() };
      this.#shelves.set(resource, shelf);
    }
    return shelf;
  }

  #load(): void {
    for (const { name, value } of this.#statements.counters.all() as unknown as { name: string; value: number }[]) {
      if (name === 'revision') this.#revision = value;
      if (name === 'compacted') this.#compacted = value;
    }
    for (const row of this.#statements.objects.all() as unknown as Row[]) {
      const stored = restore(row, row.body);
      this.#shelf(row.resource).objects.set(shelfKey(stored.key), stored);
    }
    for (const row of this.#statements.events.all() as unknown as (Row & {
      type: StoreEvent['type'];
      previous: string | null;
    })[]) {
      this.#events.push({
        revision: row.revision,
        type: row.type,
        stored: restore(row, row.body),
        previous: row.previous === null ? undefined : restore(row, row.previous),
      });
    }
  }
}

interface Row {
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  readonly body: string;
}

interface Statements {
  readonly counters: StatementSync;
  readonly objects: StatementSync;
  readonly events: StatementSync;
  readonly setCounter: StatementSync;
  readonly addEvent: StatementSync;
  readonly dropEvents: StatementSync;
  readonly put: StatementSync;
  readonly remove: StatementSync;
}

function prepareStatements(db: DatabaseSync): Statements {
  return {
    counters: db.prepare('SELECT name, value FROM counters'),
    objects: db.prepare('SELECT resource, namespace, name, revision, body FROM objects'),
    events: db.prepare(
      'SELECT revision, type, resource, namespace, name, body, previous FROM events ORDER BY revision',
    ),
    setCounter: db.prepare('UPDATE counters SET value = ? WHERE name = ?'),
    addEvent: db.prepare(
      'INSERT INTO events (revision, type, resource, namespace, name, body, previous) VALUES (?, ?, ?, ?, ?, ?, ?)',
    ),
    dropEvents: db.prepare('DELETE FROM events WHERE revision <= ?'),
    put: db.prepare(
      'INSERT OR REPLACE INTO objects (resource, namespace, name, revision, body) VALUES (?, ?, ?, ?, ?)',
    ),
    remove: db.prepare('DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?'),
  };
}

function restore(row: Row, body: string): StoredObject {
  const object = JSON.parse(body) as KubeObject;
  const key = { resource: row.resource, namespace: row.namespace, name: row.name };
  return { key, object: deepFreeze(object), json: body, revision: Number(object.metadata.resourceVersion) };
}

function makeStored(key: ObjectKey, object: KubeObject, revision: number): StoredObject {
  // kind and apiVersion first: lists cut them off (itemText in rest/list.ts).
  const { kind, apiVersion, metadata, ...rest } = object;
  const json = JSON.stringify({ kind, apiVersion, metadata: inWireOrder(metadata), ...rest });
  // Parsed back rather than kept: what is stored shares nothing with what the caller holds.
  return { key, object: deepFreeze(JSON.parse(json) as KubeObject), json, revision };
}

/** https://www.sqlite.org/rescode.html: the low byte is the kind of the failure. */
const FULL = 13;
const IO_ERROR = 10;
const READ_ONLY = 8;

function asStorageFailure(error: unknown, path: string): unknown {
  const kind = Number((error as { errcode?: number }).errcode) & 0xff;
  if (kind === FULL) {
    return new StorageFailure(
      `no space left for ${path}: nothing can be written until there is room on its file system`,
    );
  }
  if (kind !== IO_ERROR && kind !== READ_ONLY) return error;
  return new StorageFailure(`${path} cannot be written (${(error as Error).message}): see to its file system`);
}

/** As every API server writes it: people read it, and messages quote it. */
const METADATA_ORDER: readonly string[] = [
  ...['name', 'generateName', 'namespace', 'selfLink', 'uid', 'resourceVersion', 'generation', 'creationTimestamp'],
  ...['deletionTimestamp', 'deletionGracePeriodSeconds', 'labels', 'annotations', 'ownerReferences', 'finalizers'],
];

function inWireOrder(metadata: KubeObject['metadata']): KubeObject['metadata'] {
  const ordered: KubeObject['metadata'] = {};
  for (const name of METADATA_ORDER) if (metadata[name] !== undefined) ordered[name] = metadata[name];
  return Object.assign(ordered, metadata);
}

function sortedAfter(sorted: readonly StoredObject[], { type, stored }: StoreEvent): readonly StoredObject[] {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compareKeys(sorted[middle]!, stored) < 0) low = middle + 1;
    else high = middle;
  }
  if (type === 'ADDED') return sorted.toSpliced(low, 0, stored);
  return type === 'DELETED' ? sorted.toSpliced(low, 1) : sorted.with(low, stored);
}

function shelfKey(key: ObjectKey): string {
  return `${key.namespace}/${key.name}`;
}

function compareKeys(a: StoredObject, b: StoredObject): number {
  return compareText(a.key.namespace, b.key.namespace) || compareText(a.key.name, b.key.name);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const member of Object.values(value)) deepFreeze(member);
    Object.freeze(value);
  }
  return value;
}

function restrict(file: string): void {
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    // SQLite makes the -wal and -shm files when it needs them.
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}
