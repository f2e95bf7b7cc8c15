// SPDX-License-Identifier: Apache-2.0
// Limits of containers by control groups, where the machine lets us make some: one group per container and hierarchy,
// all below one folder per node that outlives neither the node nor, at the latest, `sandbox down`.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CONTROLLERS, type Controller, findGroupPlaces, type GroupPlace } from './control-group-places.ts';
import { PRIVILEGED_ENVIRONMENT } from './privileged-environment.ts';

export interface ContainerLimits {
  readonly memoryBytes?: number | undefined;
  /** In cores: 0.5 is half of one. */
  readonly cpus?: number | undefined;
  /** Processes and threads. */
  readonly pids: number;
}

const CPU_PERIOD_US = 100_000;
/** The kernel refuses less. */
const MIN_CPU_QUOTA_US = 1_000;
const REMOVE_RETRY_MS = 20;
const REMOVE_TRIES = 50;

/** The groups of one container. */
export class ControlGroup {
  /** A process that writes 0 to each of them belongs to the container. */
  readonly joinFiles: readonly string[];
  readonly #folders: readonly string[];

  constructor(folders: readonly string[]) {
    this.#folders = folders;
    this.joinFiles = folders.map((folder) => join(folder, 'cgroup.procs'));
  }

  /** Whether the kernel has ended a process of the container because it was at its memory limit. */
  get wasOutOfMemory(): boolean {
    return this.#folders.some((folder) =>
      ['memory.events', 'memory.oom_control'].some((file) => {
        return /^oom_kill [1-9]/m.test(readIfThere(join(folder, file)));
      }),
    );
  }

  /** The processes must be gone; the kernel takes a moment to know that. */
  async remove(): Promise<void> {
    for (const folder of this.#folders) await removeGroup(folder);
  }
}

export class ControlGroups {
  /** What this machine lets us limit. */
  readonly controllers: readonly Controller[];
  readonly #places: readonly GroupPlace[];

  private constructor(places: readonly GroupPlace[]) {
    this.#places = places;
    this.controllers = CONTROLLERS.filter((name) => places.some(({ controllers }) => controllers.includes(name)));
  }

  /** Removes what an earlier node process of the state directory left, then tries what can be made here. */
  static open(stateDir: string): ControlGroups {
    const record = recordFile(stateDir);
    const name = `isthmus-${createHash('sha256').update(stateDir).digest('hex').slice(0, 12)}`;
    const found = findGroupPlaces(readIfThere('/proc/self/mountinfo'), readIfThere('/proc/self/cgroup'));
    const folders = found.map(({ folder }) => join(folder, name));
    // What an earlier node process left. Its containers have just been killed: the kernel takes a moment to know that, and
    // nobody needs to wait for it.
    for (const child of folders.filter((folder) => existsSync(folder)).flatMap(childGroups)) void removeGroup(child);
    // First the record, for whoever cleans up after a kill -9.
    writeFileSync(record, folders.join('\n'), { mode: 0o600 });
    const places = found
      .map((place, index): GroupPlace => ({ ...place, folder: folders[index] ?? '' }))
      .filter(makeBase);
    return new ControlGroups(places);
  }

  /** @throws Error when the kernel refuses a limit */
  create(id: string, limits: ContainerLimits): ControlGroup {
    const folders = this.#places.map((place) => {
      const folder = join(place.folder, id);
      mkdirSync(folder);
      for (const [file, value] of limitFiles(place, limits)) {
        if (existsSync(join(folder, file))) writeFileSync(join(folder, file), value);
      }
      return folder;
    });
    return new ControlGroup(folders);
  }

  /** The containers' groups must be gone. */
  async close(): Promise<void> {
    for (const { folder } of this.#places) await removeGroup(folder);
  }
}

/** For a node whose process was killed: removes its groups, once their processes have ended. */
export async function removeControlGroups(stateDir: string): Promise<void> {
  for (const base of readRecord(stateDir)) {
    for (const child of childGroups(base)) await removeGroup(child);
    await removeGroup(base);
  }
}

function recordFile(stateDir: string): string {
  return join(stateDir, 'control-groups');
}

function readRecord(stateDir: string): string[] {
  // Only what `open` can have written: the file is the user's, and these paths get removed.
  return readIfThere(recordFile(stateDir))
    .split('\n')
    .filter((path) => /^\/.*\/isthmus-[0-9a-f]{12}$/.test(path) && existsSync(join(path, 'cgroup.procs')));
}

function childGroups(base: string): string[] {
  return readdirSync(base, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(base, name));
}

/** true when groups can be made there, and processes of ours moved into them. */
function makeBase({ folder, version, controllers }: GroupPlace): boolean {
  try {
    mkdirSync(folder, { recursive: true });
    if (version === 2) {
      writeFileSync(join(folder, 'cgroup.subtree_control'), controllers.map((name) => `+${name}`).join(' '));
    }
    const trial = join(folder, 'trial');
    mkdirSync(trial, { recursive: true });
    const joined = spawnSync('/bin/sh', ['-c', 'echo 0 >"$1"', 'sh', join(trial, 'cgroup.procs')], {
      env: PRIVILEGED_ENVIRONMENT,
      stdio: 'ignore',
    });
    rmdirSync(trial);
    if (joined.status === 0) return true;
  } catch {
    // Not ours to use: no delegation, a read-only mount, another user's.
  }
  tryRemove(folder);
  return false;
}

function limitFiles({ version, controllers }: GroupPlace, limits: ContainerLimits): [file: string, value: string][] {
  const files: [string, string][] = [];
  const { memoryBytes, cpus, pids } = limits;
  if (controllers.includes('pids')) files.push(['pids.max', String(pids)]);
  if (controllers.includes('memory') && memoryBytes !== undefined) {
    const bytes = String(Math.floor(memoryBytes));
    // With swap, a limit on memory alone would only make the container slow.
    if (version === 2) files.push(['memory.max', bytes], ['memory.swap.max', '0'], ['memory.oom.group', '1']);
    else files.push(['memory.limit_in_bytes', bytes], ['memory.memsw.limit_in_bytes', bytes]);
  }
  if (controllers.includes('cpu') && cpus !== undefined) {
    const quota = Math.max(MIN_CPU_QUOTA_US, Math.round(cpus * CPU_PERIOD_US));
    if (version === 2) files.push(['cpu.max', `${quota} ${CPU_PERIOD_US}`]);
    else files.push(['cpu.cfs_period_us', String(CPU_PERIOD_US)], ['cpu.cfs_quota_us', String(quota)]);
  }
  return files;
}

async function removeGroup(folder: string): Promise<void> {
  for (let i = 0; i < REMOVE_TRIES && !tryRemove(folder); i++) await sleep(REMOVE_RETRY_MS);
}

/** false when it is still in use. */
function tryRemove(folder: string): boolean {
  try {
    rmdirSync(folder);
    return true;
  } catch {
    return !existsSync(folder);
  }
}

function readIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
