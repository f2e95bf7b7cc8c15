// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';

/** Marks the file as ours ("ISTH"). */
const APPLICATION_ID = 0x49535448;

/** Step i brings a database from schema i to schema i + 1. Never change one that was released; add another. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   INSERT INTO counters VALUES ('revision', 1), ('compacted', 0);
   CREATE TABLE objects (
     resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
     revision INTEGER NOT NULL, body TEXT NOT NULL,
     PRIMARY KEY (resource, namespace, name)) STRICT, WITHOUT ROWID;
   CREATE TABLE events (
     revision INTEGER PRIMARY KEY, type TEXT NOT NULL,
     resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
     body TEXT NOT NULL, previous TEXT) STRICT;`,
];

export const SCHEMA_VERSION = MIGRATIONS.length;

/**
 * Opens `path`, creating or migrating it. A file of a newer schema, or of another program, is refused before anything
 * is written to it.
 */
export function openDatabase(path: string): DatabaseSync {
  if (existsSync(path)) refuseForeign(path);
  const db = new DatabaseSync(path);
  db.exec(
    'PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA busy_timeout=2000; PRAGMA wal_autocheckpoint=2000;',
  );
  const from = readPragma(db, 'user_version');
  if (from < SCHEMA_VERSION) {
    db.exec('BEGIN IMMEDIATE');
    try {
      for (const step of MIGRATIONS.slice(from)) db.exec(step);
      db.exec(`PRAGMA application_id=${APPLICATION_ID}; PRAGMA user_version=${SCHEMA_VERSION}; COMMIT`);
    } catch (error) {
      db.exec('ROLLBACK');
      throw error;
    }
  }
  return db;
}

function refuseForeign(path: string): void {
  const probe = new DatabaseSync(path, { readOnly: true });
  try {
    const version = readPragma(probe, 'user_version');
    const application = readPragma(probe, 'application_id');
    if (version === 0 && application === 0) return;
    if (application !== APPLICATION_ID)
      throw new Error(`${path} is not the state of an Isthmus API server; give another directory.`);
    if (version > SCHEMA_VERSION) {
      throw new Error(
        `${path} was written by a newer Isthmus (schema ${version}; this one knows up to ${SCHEMA_VERSION}). ` +
          'It was left untouched: use the newer Isthmus, or start a sandbox under another name.',
      );
    }
  } finally {
    probe.close();
  }
}

function readPragma(db: DatabaseSync, name: string): number {
  const row = db.prepare(`PRAGMA ${name}`).get() as Record<string, number> | undefined;
  return row?.[name] ?? 0;
}
