// SPDX-License-Identifier: Apache-2.0
// A volume's files, replaced all at once: readers see the old set or the new one, never a mixture.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export interface VolumeFile {
  readonly content: Buffer;
  readonly mode: number;
}

/** Path below the volume -> file. */
export type VolumeFiles = ReadonlyMap<string, VolumeFile>;

/**
 * The layout of the kubelet's own volumes, which programs watch for: `NAME -> ..data/NAME`, `..data -> ..TIMESTAMP`;
 * one rename replaces `..data`.
 */
export class AtomicFolder {
  readonly path: string;
  readonly #gid: number | undefined;
  #current: VolumeFiles | undefined;

  /** @param gid the group that owns the files (fsGroup) */
  constructor(path: string, gid: number | undefined) {
    this.path = path;
    this.#gid = gid;
    mkdirSync(path, { recursive: true, mode: 0o755 });
    chmodSync(path, 0o755);
  }

  /** @throws Error for a path that leads out of the volume */
  write(files: VolumeFiles): void {
    if (this.#current && isSame(this.#current, files)) return;
    for (const path of files.keys()) checkPath(path);
    const stamp = `..${new Date().toISOString().replaceAll(/[-:T]/g, '_').slice(0, 19)}.${randomBytes(4).toString('hex')}`;
    const folder = join(this.path, stamp);
    mkdirSync(folder, { mode: 0o755 });
    chmodSync(folder, 0o755);
    for (const [path, file] of files) this.#writeFile(folder, path, file);
    const old = this.#readData();
    const next = join(this.path, '..data_tmp');
    rmSync(next, { force: true });
    symlinkSync(stamp, next);
    renameSync(next, join(this.path, '..data'));
    this.#linkNames(new Set([...files.keys()].map((path) => path.split('/', 1)[0] ?? path)));
    if (old) rmSync(join(this.path, old), { recursive: true, force: true });
    this.#current = files;
  }

  #writeFile(folder: string, path: string, { content, mode }: VolumeFile): void {
    const target = join(folder, path);
    mkdirSync(dirname(target), { recursive: true, mode: 0o755 });
    // The group gets to read what the owner reads, or fsGroup would be of no use.
    const effective = this.#gid === undefined ? mode : mode | ((mode & 0o400) >> 3);
    writeFileSync(target, content, { mode: 0o600 });
    if (this.#gid !== undefined) chownSync(target, -1, this.#gid);
    chmodSync(target, effective);
  }

  #linkNames(names: ReadonlySet<string>): void {
    for (const name of names) {
      const link = join(this.path, name);
      if (!lstatSync(link, { throwIfNoEntry: false })) symlinkSync(`..data/${name}`, link);
    }
    for (const name of readdirSync(this.path)) {
      if (!name.startsWith('..') && !names.has(name)) rmSync(join(this.path, name), { force: true });
    }
  }

  #readData(): string | undefined {
    try {
      return readlinkSync(join(this.path, '..data'));
    } catch {
      return undefined;
    }
  }
}

function checkPath(path: string): void {
  const parts = path.split('/');
  if (path === '' || path.startsWith('/') || parts.includes('..') || parts[0]?.startsWith('..')) {
    throw new Error(`the path "${path}" of a volume's item is not allowed`);
  }
}

function isSame(a: VolumeFiles, b: VolumeFiles): boolean {
  if (a.size !== b.size) return false;
  for (const [path, file] of a) {
    const other = b.get(path);
    if (!other || other.mode !== file.mode || !other.content.equals(file.content)) return false;
  }
  return true;
}
