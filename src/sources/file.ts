// SPDX-License-Identifier: Apache-2.0
import { type FSWatcher, readdirSync, readFileSync, type Stats, statSync, watch } from 'node:fs';
import { join, relative } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Locate } from '../api/report.ts';
import { splitYaml, type YamlPart } from '../api/yaml-documents.ts';
import type { KubeObject } from '../kube/types.ts';
import {
  identityKey,
  type ObjectIdentity,
  type Source,
  type SourceEvent,
  type SourceListener,
  type SourceProblem,
} from './contract.ts';
import { hashOf, linesOf, readDocument, type YamlDocument } from './yaml-file.ts';

/** Long enough that an editor's write, truncate and rename are one change, too short for a person to notice. */
const SETTLE_MS = 20;
/** A file that is written all the time is read all the same. */
const MAX_SETTLE = 10;
/** inotify is lossy on some file systems (network mounts, some containers): look again this often. */
const RESCAN_MS = 2_000;
/** Reading goes on for so long before others have their turn: proxies are served while a large file is read. */
const SLICE_MS = 15;
const MAX_FILE_BYTES = 256 * 1024 * 1024;
const MAX_DOCUMENTS = 200_000;
/** Of one file: who has mended these sees the others. */
const MAX_PROBLEMS = 50;

interface FileState {
  readonly stamp: string;
  readonly documents: readonly { readonly document: YamlDocument; readonly line: number }[];
  /** What stood there last and is broken now. */
  readonly kept: readonly KubeObject[];
  readonly problems: readonly SourceProblem[];
}

interface Told {
  readonly object: KubeObject;
  readonly file: string;
  /** Where it stands now, unless its document is broken. */
  readonly place: { readonly document: YamlDocument; readonly line: number } | undefined;
}

interface OpenFile {
  /** By hash. */
  readonly parts: ReadonlyMap<string, YamlPart>;
  /** By hash, then by the object's key: only for those that were asked for. */
  readonly lines: Map<string, ReadonlyMap<string, Locate>>;
}

/** A directory of YAML files (`*.yaml`, `*.yml`, subdirectories included), read again whenever one changes. */
export class FileSource implements Source {
  readonly cluster: string;
  readonly #dir: string;
  #files = new Map<string, FileState>();
  /** By the object's key: what was told, and the file that it came from. */
  #told: ReadonlyMap<string, Told> = new Map();
  #problems: readonly SourceProblem[] = [];
  /** Files that lines are being looked up in, for this turn of the loop. */
  readonly #open = new Map<string, OpenFile>();

  constructor(cluster: string, dir: string) {
    this.cluster = cluster;
    this.#dir = dir;
  }

  async run(listener: SourceListener, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    readdirSync(this.#dir); // a missing directory is the caller's mistake, told at once
    let wake = () => {};
    let isDirty = false;
    const watcher = watchDirectory(this.#dir, () => {
      isDirty = true;
      wake();
    });
    try {
      await this.#scan(listener, signal, { kind: 'synced', cluster: this.cluster });
      while (!signal.aborted) {
        if (!isDirty) await waitFor(RESCAN_MS, signal, (wakeUp) => (wake = wakeUp));
        for (let i = 0; isDirty && i < MAX_SETTLE; i++) {
          isDirty = false;
          await waitFor(SETTLE_MS, signal);
        }
        isDirty = false;
        if (!signal.aborted) await this.#scan(listener, signal);
      }
    } finally {
      watcher?.close();
    }
  }

  /** File and line of a field of an object that this source told; undefined for one it does not know. */
  locate(identity: ObjectIdentity, field: string): { file: string; line: number } | undefined {
    const key = identityKey(identity);
    const told = this.#told.get(key);
    if (told?.place === undefined) return undefined;
    const { file, place } = told;
    const { document, line } = place;
    const known = document.lines.get(`${key} ${field}`);
    const within = known ?? this.#lineIn(file, document, key, field);
    if (within === undefined) return undefined;
    document.lines.set(`${key} ${field}`, within);
    return { file, line: line - 1 + within };
  }

  #lineIn(file: string, { hash }: YamlDocument, key: string, field: string): number | undefined {
    let open = this.#open.get(file);
    if (open === undefined) {
      open = { parts: readParts(join(this.#dir, file)), lines: new Map() };
      this.#open.set(file, open);
      setImmediate(() => this.#open.clear());
    }
    const part = open.parts.get(hash);
    if (part === undefined) return undefined;
    const lines = open.lines.get(hash) ?? linesOf(part);
    open.lines.set(hash, lines);
    return lines.get(key)?.(field);
  }

  #withLines(event: SourceEvent): SourceEvent {
    if (event.kind !== 'upsert') return event;
    return { ...event, locate: (field) => this.locate(event.object, field)?.line };
  }

  async #scan(listener: SourceListener, signal: AbortSignal, closing?: SourceEvent): Promise<void> {
    const names = yamlFilesUnder(this.#dir);
    if (names === undefined) {
      // Unmounted, or replaced at this very moment: what was there last stays.
      const cure = 'put the directory back; its last good state stays';
      this.#report(listener, [this.#problem(this.#dir, 'cannot be read', cure)]);
      return;
    }
    const files = new Map<string, FileState>();
    const slices = new Slices();
    for (const file of names) {
      const state = await this.#readFile(file, slices);
      if (signal.aborted) return;
      if (state !== undefined) files.set(file, state);
    }
    const isSame = files.size === this.#files.size && [...files].every(([name, f]) => this.#files.get(name) === f);
    if (isSame && closing === undefined) return;
    this.#files = files;
    const { wanted, duplicates } = mergeFiles(files);
    const events = differences(this.cluster, this.#told, wanted).map((event) => this.#withLines(event));
    this.#told = wanted;
    if (closing !== undefined) events.push(closing);
    if (events.length > 0) listener.events(events);
    const twice = duplicates.map(({ file, message, cure }) => this.#problem(file, message, cure));
    this.#report(listener, [...[...files.values()].flatMap((state) => state.problems), ...atMost(twice)]);
  }

  #problem(where: string, message: string, cure: string): SourceProblem {
    return { cluster: this.cluster, where, message, cure };
  }

  #report(listener: SourceListener, problems: readonly SourceProblem[]): void {
    if (isDeepStrictEqual(problems, this.#problems)) return;
    this.#problems = problems;
    listener.problems(problems);
  }

  /** The file's state; the one before where nothing changed. What is broken keeps what the file said last. */
  async #readFile(file: string, slices: Slices): Promise<FileState | undefined> {
    const before = this.#files.get(file);
    try {
      const path = join(this.#dir, file);
      const stats = statSync(path);
      if (before?.stamp === stampOf(stats)) return before;
      if (stats.size > MAX_FILE_BYTES) {
        const message = `it has ${Math.ceil(stats.size / 2 ** 20)} MB, and ${MAX_FILE_BYTES / 2 ** 20} MB is the most`;
        return this.#broken(before, stampOf(stats), this.#problem(file, message, 'make several files of it'));
      }
      return await this.#readDocuments(file, readFileSync(path, 'utf8'), stampOf(stats), slices);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      const message = error instanceof Error ? error.message : String(error);
      return this.#broken(before, '', this.#problem(file, message, 'make the file readable'));
    }
  }

  #broken(before: FileState | undefined, stamp: string, problem: SourceProblem): FileState {
    return { documents: [], kept: [], ...before, stamp, problems: [problem] };
  }

  async #readDocuments(file: string, text: string, stamp: string, slices: Slices): Promise<FileState> {
    const before = this.#files.get(file);
    const known = new Map(before?.documents.map(({ document }) => [document.hash, document]));
    const documents: { document: YamlDocument; line: number }[] = [];
    const problems: SourceProblem[] = [];
    const cure = 'mend it; its last good state stays';
    for (const part of splitYaml(text)) {
      if (documents.length === MAX_DOCUMENTS) {
        const message = `it has more than ${MAX_DOCUMENTS} documents: those from here on are left out`;
        problems.unshift(this.#problem(`${file}:${part.line}`, message, 'make several files of it'));
        break;
      }
      const hash = hashOf(part.text);
      const document = known.get(hash) ?? readDocument(part, hash);
      documents.push({ document, line: part.line });
      for (const fault of document.faults) {
        problems.push(this.#problem(`${file}:${part.line - 1 + fault.line}`, fault.message, cure));
      }
      await slices.yieldWhenDue();
    }
    if (problems.length === 0 || before === undefined)
      return { stamp, documents, kept: [], problems: atMost(problems) };
    const present = new Set(documents.flatMap(({ document }) => document.objects.map(identityKey)));
    const kept = objectsOf(before).filter((object) => !present.has(identityKey(object)));
    return { stamp, documents, kept, problems: atMost(problems) };
  }
}

/** Lets the event loop turn whenever enough was done at a stretch. */
class Slices {
  #startedAtMs = performance.now();

  async yieldWhenDue(): Promise<void> {
    if (performance.now() - this.#startedAtMs < SLICE_MS) return;
    await nextTurn();
    this.#startedAtMs = performance.now();
  }
}

async function waitFor(
  ms: number,
  signal: AbortSignal,
  onWake: (wakeUp: () => void) => void = () => {},
): Promise<void> {
  const waking = new AbortController();
  onWake(() => waking.abort());
  await sleep(ms, undefined, { signal: AbortSignal.any([signal, waking.signal]) }).catch(() => {});
}

function stampOf({ mtimeMs, size, ino }: Stats): string {
  return `${mtimeMs}-${size}-${ino}`;
}

function objectsOf({ documents, kept }: FileState): KubeObject[] {
  return [...documents.flatMap(({ document }) => document.objects), ...kept];
}

function* placesOf(file: string, { documents, kept }: FileState): Generator<Told> {
  for (const place of documents) for (const object of place.document.objects) yield { object, file, place };
  for (const object of kept) yield { object, file, place: undefined };
}

function readParts(path: string): ReadonlyMap<string, YamlPart> {
  try {
    return new Map([...splitYaml(readFileSync(path, 'utf8'))].map((part) => [hashOf(part.text), part]));
  } catch {
    return new Map(); // removed since: the next scan says so
  }
}

function atMost(problems: readonly SourceProblem[]): SourceProblem[] {
  const last = problems[MAX_PROBLEMS];
  if (last === undefined) return [...problems];
  const message = `and ${problems.length - MAX_PROBLEMS} more like these`;
  return [...problems.slice(0, MAX_PROBLEMS), { ...last, message }];
}

/** One object may stand in one file only: the first file by name wins, and the second is a problem. */
function mergeFiles(files: ReadonlyMap<string, FileState>) {
  const wanted = new Map<string, Told>();
  const duplicates: { file: string; message: string; cure: string }[] = [];
  for (const [file, state] of files) {
    for (const told of placesOf(file, state)) {
      const { object } = told;
      const key = identityKey(object);
      const other = wanted.get(key);
      if (other === undefined) {
        wanted.set(key, told);
        continue;
      }
      const name = `${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
      const message = `${name} stands in ${other.file} already; this one is left out`;
      duplicates.push({ file, message, cure: 'remove one of the two' });
    }
  }
  return { wanted, duplicates };
}

function differences(
  cluster: string,
  before: ReadonlyMap<string, { object: KubeObject }>,
  after: ReadonlyMap<string, { object: KubeObject }>,
): SourceEvent[] {
  const events: SourceEvent[] = [];
  for (const [key, { object }] of before) if (!after.has(key)) events.push({ kind: 'delete', cluster, object });
  for (const [key, { object }] of after) {
    const old = before.get(key)?.object;
    if (old !== object && !isDeepStrictEqual(old, object)) events.push({ kind: 'upsert', cluster, object });
  }
  return events;
}

/**
 * Sorted, relative to `dir`; hidden entries (editors' files, a ConfigMap volume's `..data`) are left out. Undefined
 * when some directory cannot be listed: what cannot be seen is not known to be gone.
 */
function yamlFilesUnder(dir: string): string[] | undefined {
  const found: string[] = [];
  const visit = (at: string): void => {
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (entry.name.startsWith('.')) continue;
      const path = join(at, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (/\.ya?ml$/.test(entry.name)) found.push(relative(dir, path));
    }
  };
  try {
    visit(dir);
    return found.sort();
  } catch {
    return undefined;
  }
}

function watchDirectory(dir: string, changed: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dir, { recursive: true }, changed);
    watcher.on('error', () => watcher.close()); // out of inotify watches: the periodic scan remains
    return watcher;
  } catch {
    return undefined;
  }
}
