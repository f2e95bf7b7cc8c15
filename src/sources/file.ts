// SPDX-License-Identifier: Apache-2.0
import { readdirSync, readFileSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Locate } from '../api/report.ts';
import { splitYaml, type YamlPart } from '../api/yaml-documents.ts';
import type { Steps } from '../incremental/steps.ts';
import { objectName } from '../kube/object-name.ts';
import type { KubeObject } from '../kube/types.ts';
import {
  identityKey,
  type ObjectIdentity,
  type Source,
  type SourceEvent,
  type SourceListener,
  type SourceProblem,
} from './contract.ts';
import { DirectoryWatch, isYaml } from './directory-watch.ts';
import { ObjectLedger } from './object-ledger.ts';
import { hashOf, linesOf, readDocument, type YamlDocument } from './yaml-file.ts';

/** A file that was put in the place of another was written before; this is for the case that it was not. */
const REPLACED_MS = 2;
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

/** A directory of YAML files (`*.yaml`, `*.yml`, subdirectories included); of those that change, each is read again. */
export class FileSource implements Source {
  readonly cluster: string;
  readonly #dir: string;
  readonly #files = new Map<string, FileState>();
  /** Of those the ones with problems. */
  readonly #troubled = new Set<string>();
  readonly #ledger = new ObjectLedger<Told>();
  #problems: readonly SourceProblem[] = [];
  /** Lines that were asked for, by object and field: the same are asked for again and again. */
  readonly #lines = new WeakMap<YamlDocument, Map<string, number>>();
  /** Files that lines are being looked up in, for this turn of the loop. */
  readonly #open = new Map<string, OpenFile>();

  constructor(cluster: string, dir: string) {
    this.cluster = cluster;
    this.#dir = dir;
  }

  async run(listener: SourceListener, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    readdirSync(this.#dir); // a missing directory is the caller's mistake, told at once
    const watcher = new DirectoryWatch(this.#dir);
    try {
      await this.#scan(listener, signal, watcher, { kind: 'synced', cluster: this.cluster });
      while (!signal.aborted) {
        const changed = await watcher.next(RESCAN_MS, signal);
        if (signal.aborted) return;
        if (changed === 'anything') await this.#settleAndScan(listener, signal, watcher);
        else await this.#readAgain(changed, listener, signal, watcher);
      }
    } finally {
      watcher.close();
    }
  }

  /** Files that were replaced by others are whole; others may still be written. */
  async #readAgain(
    files: ReadonlySet<string>,
    listener: SourceListener,
    signal: AbortSignal,
    watcher: DirectoryWatch,
  ): Promise<void> {
    const isWhole = [...files].every((file) => this.#isReplaced(file));
    const settled = waitFor(isWhole ? REPLACED_MS : SETTLE_MS, signal);
    // What is whole is read meanwhile.
    const early = isWhole ? await this.#read(files, signal) : undefined;
    await settled;
    const more = watcher.take();
    const isStill = more !== 'anything' && more.size === 0 && (early === undefined || this.#isAsRead(early));
    // Still being written, as an editor does that makes its file anew.
    if (!isStill) return this.#settleAndScan(listener, signal, watcher);
    const states = early ?? (await this.#read(files, signal));
    if (!signal.aborted) await this.#tell(states, listener, signal);
  }

  #isAsRead(states: ReadonlyMap<string, FileState | undefined>): boolean {
    return [...states].every(([file, state]) => {
      const stats = statSync(join(this.#dir, file), { throwIfNoEntry: false });
      return stats !== undefined && stampOf(stats) === state?.stamp;
    });
  }

  /** There is another file by the name of one that is known, with something in it. */
  #isReplaced(file: string): boolean {
    const known = this.#files.get(file)?.stamp.split('-').at(-1);
    const stats = statSync(join(this.#dir, file), { throwIfNoEntry: false });
    return known !== undefined && stats !== undefined && stats.size > 0 && String(stats.ino) !== known;
  }

  async #settleAndScan(listener: SourceListener, signal: AbortSignal, watcher: DirectoryWatch): Promise<void> {
    for (let i = 0; i < MAX_SETTLE; i++) {
      await waitFor(SETTLE_MS, signal);
      const more = watcher.take();
      if (more !== 'anything' && more.size === 0) break;
    }
    if (!signal.aborted) await this.#scan(listener, signal, watcher);
  }

  /** File and line of a field of an object that this source told; undefined for one it does not know. */
  locate(identity: ObjectIdentity, field: string): { file: string; line: number } | undefined {
    const key = identityKey(identity);
    const told = this.#ledger.get(key);
    if (told?.place === undefined) return undefined;
    const { file, place } = told;
    const { document, line } = place;
    const lines = this.#lines.get(document) ?? new Map<string, number>();
    const within = lines.get(`${key} ${field}`) ?? this.#lineIn(file, document, key, field);
    if (within === undefined) return undefined;
    this.#lines.set(document, lines.set(`${key} ${field}`, within));
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

  async #scan(
    listener: SourceListener,
    signal: AbortSignal,
    watcher: DirectoryWatch,
    closing?: SourceEvent,
  ): Promise<void> {
    const found = filesUnder(this.#dir);
    if (found === undefined) {
      // Unmounted, or replaced at this very moment: what was there last stays.
      const cure = 'put the directory back; its last good state stays';
      this.#report(listener, [this.#problem(this.#dir, 'cannot be read', cure)]);
      return;
    }
    watcher.follow(found.directories);
    const states = await this.#read(new Set([...found.files, ...this.#files.keys()]), signal);
    if (!signal.aborted) await this.#tell(states, listener, signal, closing);
  }

  /** Reads these files, as far as they have changed; undefined for those that are gone. Not all of them once `signal` aborts. */
  async #read(files: ReadonlySet<string>, signal: AbortSignal): Promise<ReadonlyMap<string, FileState | undefined>> {
    const slices = new Slices();
    const states = new Map<string, FileState | undefined>();
    for (const file of [...files].sort()) {
      if (signal.aborted) break;
      states.set(file, await this.#readFile(file, slices));
    }
    return states;
  }

  /** Tells what has changed in files that were read. */
  async #tell(
    states: ReadonlyMap<string, FileState | undefined>,
    listener: SourceListener,
    signal: AbortSignal,
    closing?: SourceEvent,
  ): Promise<void> {
    const standings = new Map<string, Iterable<Told>>();
    for (const [file, state] of states) {
      if (state === this.#files.get(file)) continue;
      if (state === undefined) this.#files.delete(file);
      else this.#files.set(file, state);
      if (state === undefined || state.problems.length === 0) this.#troubled.delete(file);
      else this.#troubled.add(file);
      standings.set(file, state === undefined ? [] : placesOf(file, state));
    }
    if (standings.size > 0 || closing !== undefined) {
      const events = await new Slices().finish(this.#eventsOf(standings));
      if (signal.aborted) return;
      if (closing !== undefined) events.push(closing);
      if (events.length > 0) listener.events(events);
    }
    this.#report(listener, this.#allProblems());
  }

  *#eventsOf(standings: ReadonlyMap<string, Iterable<Told>>): Steps<SourceEvent[]> {
    const { cluster } = this;
    const events: SourceEvent[] = [];
    for (const { before, after } of yield* this.#ledger.update(standings)) {
      yield;
      if (after === undefined) events.push({ kind: 'delete', cluster, object: before!.object });
      else events.push(this.#withLines({ kind: 'upsert', cluster, object: after.object }));
    }
    return events;
  }

  #allProblems(): SourceProblem[] {
    const own = [...this.#troubled].sort().flatMap((file) => this.#files.get(file)?.problems ?? []);
    const twice = this.#ledger.repeated().map(({ counts, out: { object, file } }) => {
      const name = objectName(object);
      const message = `${name} stands in ${counts.file} already; this one is left out`;
      return this.#problem(file, message, 'remove one of the two');
    });
    return [...own, ...atMost(twice)];
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
    if (!this.#isDue) return;
    await nextTurn();
    this.#startedAtMs = performance.now();
  }

  async finish<T>(steps: Steps<T>): Promise<T> {
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      if (this.#isDue) await this.yieldWhenDue();
    }
  }

  get #isDue(): boolean {
    return performance.now() - this.#startedAtMs >= SLICE_MS;
  }
}

async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => {});
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

/**
 * Relative to `dir`, which is '' among the directories; hidden entries (editors' files, a ConfigMap volume's `..data`) are
 * left out. Undefined when some directory cannot be listed: what cannot be seen is not known to be gone.
 */
function filesUnder(dir: string): { files: string[]; directories: string[] } | undefined {
  const files: string[] = [];
  const directories = [''];
  try {
    for (const at of directories) {
      for (const entry of readdirSync(join(dir, at), { withFileTypes: true })) {
        if (entry.name.startsWith('.')) continue;
        if (entry.isDirectory()) directories.push(join(at, entry.name));
        else if (isYaml(entry.name)) files.push(join(at, entry.name));
      }
    }
    return { files, directories };
  } catch {
    return undefined;
  }
}
