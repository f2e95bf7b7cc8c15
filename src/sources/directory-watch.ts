// SPDX-License-Identifier: Apache-2.0
import { type FSWatcher, lstatSync, statSync, watch } from 'node:fs';
import { basename, join } from 'node:path';

/** Files that have changed, relative to the directory; `anything` where that is not known. */
export type Changed = ReadonlySet<string> | 'anything';

export function isYaml(name: string): boolean {
  return /\.ya?ml$/.test(name);
}

/** Follows a tree of directories. inotify is lossy on some file systems, so whoever uses it looks again now and then. */
export class DirectoryWatch {
  readonly #root: string;
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly ino: number }>();
  #changed = new Set<string>();
  #isAnything = false;
  #wake = (): void => {};

  constructor(root: string) {
    this.#root = root;
  }

  /** The directories that there are now, relative to the root, which is ''. */
  follow(directories: readonly string[]): void {
    const wanted = new Set(directories);
    for (const directory of this.#watchers.keys()) if (!wanted.has(directory)) this.#leave(directory);
    for (const directory of wanted) {
      const path = join(this.#root, directory);
      const ino = statSync(path, { throwIfNoEntry: false })?.ino;
      // Another directory may have come in its place.
      if (this.#watchers.get(directory)?.ino === ino) continue;
      this.#leave(directory);
      if (ino === undefined) continue;
      try {
        const watcher = watch(path, (_, name) => this.#notice(directory, name));
        watcher.on('error', () => this.#leave(directory));
        this.#watchers.set(directory, { watcher, ino });
      } catch {
        // No watches left: looking again now and then remains.
      }
    }
  }

  #leave(directory: string): void {
    this.#watchers.get(directory)?.watcher.close();
    this.#watchers.delete(directory);
  }

  /** What has changed since the last time, without waiting. */
  take(): Changed {
    const changed = this.#isAnything ? ('anything' as const) : this.#changed;
    this.#changed = new Set();
    this.#isAnything = false;
    return changed;
  }

  /** Waits for a change; after `ms` without any it may have been missed. */
  async next(ms: number, signal: AbortSignal): Promise<Changed> {
    if (!this.#isAnything && this.#changed.size === 0 && (await this.#isQuiet(ms, signal))) return 'anything';
    return this.take();
  }

  /** Waits; false as soon as something happens. */
  #isQuiet(ms: number, signal: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (isQuiet: boolean): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        resolve(isQuiet);
      };
      const wake = (): void => end(false);
      const timer = setTimeout(() => end(true), ms);
      signal.addEventListener('abort', wake);
      this.#wake = wake;
    });
  }

  close(): void {
    for (const directory of this.#watchers.keys()) this.#leave(directory);
  }

  #notice(directory: string, name: string | null): void {
    if (name === null || name.startsWith('..')) this.#isAnything = true;
    else if (name.startsWith('.')) return;
    else if (isYaml(name)) this.#changed.add(join(directory, name));
    else if (this.#mayBeDirectory(directory, name)) this.#isAnything = true;
    else return;
    this.#wake();
  }

  /** Not so the files beside ours that are written to be renamed: whoever waits for those to settle waits for nothing. */
  #mayBeDirectory(directory: string, name: string): boolean {
    const path = join(this.#root, directory);
    // Of a directory that is replaced as a whole its own name is told.
    if (name === basename(path) || this.#watchers.has(join(directory, name))) return true;
    try {
      return lstatSync(join(path, name), { throwIfNoEntry: false })?.isDirectory() === true;
    } catch {
      return true;
    }
  }
}
