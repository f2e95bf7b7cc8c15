// SPDX-License-Identifier: Apache-2.0
import { type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs';
import { join, relative } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../kube/types.ts';
import {
  identityKey,
  type ObjectIdentity,
  type Source,
  type SourceEvent,
  type SourceListener,
  type SourceProblem,
} from './contract.ts';
import { findLine, parseYamlFile } from './yaml-file.ts';

/** Long enough that an editor's write, truncate and rename are one change, too short for a person to notice. */
const SETTLE_MS = 20;
/** inotify is lossy on some file systems (network mounts, some containers): look again this often. */
const RESCAN_MS = 2_000;

interface FileState {
  readonly stamp: string;
  readonly objects: readonly KubeObject[];
  readonly problems: readonly SourceProblem[];
}

/** A directory of YAML files (`*.yaml`, `*.yml`, subdirectories included), read again whenever one changes. */
export class FileSource implements Source {
  readonly cluster: string;
  private readonly dir: string;
  private files = new Map<string, FileState>();
  /** Key of an object -> what was told, and the file that it came from. */
  private told = new Map<string, { object: KubeObject; file: string }>();
  private problems: readonly SourceProblem[] = [];

  constructor(cluster: string, dir: string) {
    this.cluster = cluster;
    this.dir = dir;
  }

  async run(listener: SourceListener, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    readdirSync(this.dir); // a missing directory is the caller's mistake, told at once
    this.scan(listener, { kind: 'synced', cluster: this.cluster });
    let settling: NodeJS.Timeout | undefined;
    const rescan = (): void => {
      clearTimeout(settling);
      settling = setTimeout(() => this.scan(listener), SETTLE_MS);
    };
    const watcher = watchDirectory(this.dir, rescan);
    const poll = setInterval(() => this.scan(listener), RESCAN_MS);
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    clearTimeout(settling);
    clearInterval(poll);
    watcher?.close();
  }

  private withLines(event: SourceEvent): SourceEvent {
    if (event.kind !== 'upsert') return event;
    return { ...event, locate: (field) => this.locate(event.object, field)?.line };
  }

  /** File and line of a field of an object that this source told; undefined for one it does not know. */
  locate(identity: ObjectIdentity, field: string): { file: string; line: number } | undefined {
    const known = this.told.get(identityKey(identity));
    if (known === undefined) return undefined;
    try {
      const line = findLine(readFileSync(join(this.dir, known.file), 'utf8'), identity, field);
      return line === undefined ? undefined : { file: known.file, line };
    } catch {
      return undefined; // removed since: the next scan says so
    }
  }

  private scan(listener: SourceListener, closing?: SourceEvent): void {
    const names = yamlFilesUnder(this.dir);
    if (names === undefined) {
      // Unmounted, or replaced at this very moment: what was there last stays.
      const cure = 'put the directory back; its last good state stays';
      this.report(listener, [{ cluster: this.cluster, where: this.dir, message: 'cannot be read', cure }]);
      return;
    }
    const files = new Map<string, FileState>();
    for (const file of names) {
      const state = this.readFile(file);
      if (state !== undefined) files.set(file, state);
    }
    this.files = files;
    const { wanted, duplicates } = mergeFiles(this.cluster, files);
    const events = differences(this.cluster, this.told, wanted).map((event) => this.withLines(event));
    this.told = wanted;
    if (closing !== undefined) events.push(closing);
    if (events.length > 0) listener.events(events);
    this.report(listener, [...[...files.values()].flatMap((state) => state.problems), ...duplicates]);
  }

  private report(listener: SourceListener, problems: readonly SourceProblem[]): void {
    if (isDeepStrictEqual(problems, this.problems)) return;
    this.problems = problems;
    listener.problems(problems);
  }

  /** The file's state; the one before where nothing changed. What is broken keeps what the file said last. */
  private readFile(file: string): FileState | undefined {
    const before = this.files.get(file);
    const path = join(this.dir, file);
    try {
      const { mtimeMs, size, ino } = statSync(path);
      const stamp = `${mtimeMs}-${size}-${ino}`;
      if (before?.stamp === stamp) return before;
      const content = parseYamlFile(readFileSync(path, 'utf8'));
      const problems = content.problems.map(({ line, message }) => ({
        cluster: this.cluster,
        where: `${file}:${line}`,
        message,
        cure: 'mend it; its last good state stays',
      }));
      if (problems.length === 0 || before === undefined) return { stamp, objects: content.objects, problems };
      const present = new Set(content.objects.map(identityKey));
      const kept = before.objects.filter((object) => !present.has(identityKey(object)));
      return { stamp, objects: [...content.objects, ...kept], problems };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      const message = error instanceof Error ? error.message : String(error);
      const problem = { cluster: this.cluster, where: file, message, cure: 'make the file readable' };
      return { stamp: '', objects: before?.objects ?? [], problems: [problem] };
    }
  }
}

/** One object may stand in one file only: the first file by name wins, and the second is a problem. */
function mergeFiles(cluster: string, files: ReadonlyMap<string, FileState>) {
  const wanted = new Map<string, { object: KubeObject; file: string }>();
  const duplicates: SourceProblem[] = [];
  for (const [file, state] of files) {
    for (const object of state.objects) {
      const key = identityKey(object);
      const other = wanted.get(key);
      if (other === undefined) {
        wanted.set(key, { object, file });
        continue;
      }
      const name = `${object.kind} ${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
      duplicates.push({
        cluster,
        where: file,
        message: `${name} stands in ${other.file} already; this one is left out`,
        cure: 'remove one of the two',
      });
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
