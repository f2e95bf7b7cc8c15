// SPDX-License-Identifier: Apache-2.0
// What was last known of each other cluster, on disk: a control plane that starts while one of them is out of reach starts
// with that. A file's time is the time at which its content was last known to be true.
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { KubeObject } from '../../kube/types.ts';

export interface RecalledRegistry {
  readonly objects: readonly KubeObject[];
  readonly atMs: number;
}

const FORMAT = 1;
const SUFFIX = '.registry.json';
const KINDS: ReadonlySet<string> = new Set(['v1/Service', 'v1/Pod', 'discovery.k8s.io/v1/EndpointSlice']);

/** Writes come one after the other; a failure is logged once, and again after a success. Nothing here rejects. */
export class RegistryFiles {
  readonly #dir: string;
  readonly #log: Logger;
  #queue: Promise<void> = Promise.resolve();
  #isBroken = false;

  constructor(dir: string, log: Logger) {
    this.#dir = dir;
    this.#log = log;
  }

  /** undefined when there is no file, or none that can be used. */
  async load(cluster: string): Promise<RecalledRegistry | undefined> {
    const path = this.#path(cluster);
    try {
      const { mtimeMs } = await stat(path);
      const content = JSON.parse(await readFile(path, 'utf8')) as { format?: number; objects?: KubeObject[] };
      const isOurs = content.format === FORMAT && Array.isArray(content.objects) && content.objects.every(isKnown);
      if (!isOurs) throw new Error('it is not of this version');
      return { objects: content.objects!, atMs: mtimeMs };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
        this.#log.warn({ cluster, path, err: (error as Error).message }, 'the state on disk cannot be used');
      return undefined;
    }
  }

  /** The whole file or nothing, readable by this user alone. */
  save(cluster: string, objects: Iterable<KubeObject>): Promise<void> {
    const content = JSON.stringify({ format: FORMAT, cluster, objects: [...objects] });
    return this.#next(async () => {
      await mkdir(this.#dir, { recursive: true, mode: 0o700 });
      const path = this.#path(cluster);
      const unfinished = `${path}.new`;
      await rm(unfinished, { force: true });
      const file = await open(unfinished, 'wx', 0o600);
      try {
        await file.writeFile(content);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(unfinished, path);
    });
  }

  /** What is in the file is still true. */
  confirm(cluster: string, atMs: number): Promise<void> {
    return this.#next(() => utimes(this.#path(cluster), atMs / 1000, atMs / 1000));
  }

  remove(cluster: string): Promise<void> {
    return this.#next(() => rm(this.#path(cluster), { force: true }));
  }

  /** Removes what is kept of clusters that are not among `clusters`. */
  keepOnly(clusters: ReadonlySet<string>): Promise<void> {
    return this.#next(async () => {
      const files = await readdir(this.#dir).catch(() => []);
      const stale = files.filter((name) => name.endsWith(SUFFIX) && !clusters.has(name.slice(0, -SUFFIX.length)));
      await Promise.all(stale.map((name) => rm(join(this.#dir, name), { force: true })));
    });
  }

  /** Resolves when all that was ordered is done. */
  settled(): Promise<void> {
    return this.#queue;
  }

  /** Keys of secrets have no slashes. */
  #path(cluster: string): string {
    return join(this.#dir, `${cluster}${SUFFIX}`);
  }

  #next(act: () => Promise<void>): Promise<void> {
    this.#queue = this.#queue.then(act).then(
      () => {
        this.#isBroken = false;
      },
      (error: Error) => {
        if (!this.#isBroken) {
          const message = 'the state of other clusters cannot be kept on disk: a restart begins without it';
          this.#log.error({ dir: this.#dir, err: error.message }, message);
        }
        this.#isBroken = true;
      },
    );
    return this.#queue;
  }
}

function isKnown(object: unknown): boolean {
  const { apiVersion, kind, metadata } = (object ?? {}) as Partial<KubeObject>;
  return KINDS.has(`${apiVersion}/${kind}`) && typeof metadata?.name === 'string';
}
