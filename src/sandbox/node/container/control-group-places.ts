// SPDX-License-Identifier: Apache-2.0
// Where this process may make control groups, of which kind, with which controllers: machines differ.
// https://docs.kernel.org/admin-guide/cgroup-v2.html, https://docs.kernel.org/admin-guide/cgroup-v1/cgroups.html
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

export const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
export type Controller = (typeof CONTROLLERS)[number];

export interface GroupPlace {
  readonly version: 1 | 2;
  /** An existing group below which a new one has these controllers. */
  readonly folder: string;
  readonly controllers: readonly Controller[];
}

interface Hierarchy {
  /** The group that the mount point shows. */
  readonly root: string;
  readonly mountPoint: string;
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
}

/**
 * The places by what /proc/self/mountinfo and /proc/self/cgroup say; whether something may be made there, only trying
 * can tell. In version 2 a group that holds processes gives its children no controllers, so it is the nearest ancestor
 * that does.
 */
export function findGroupPlaces(mountinfo: string, ownGroups: string): GroupPlace[] {
  const hierarchies = parseHierarchies(mountinfo);
  const places: GroupPlace[] = [];
  const missing = new Set<Controller>(CONTROLLERS);
  for (const line of ownGroups.split('\n')) {
    const [, names, group] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (names === undefined || group === undefined) continue;
    const place = names === '' ? findUnified(hierarchies, group) : findLegacy(hierarchies, names.split(','), group);
    const controllers = place?.controllers.filter((name) => missing.has(name)) ?? [];
    if (!place || controllers.length === 0) continue;
    for (const name of controllers) missing.delete(name);
    places.push({ ...place, controllers });
  }
  return places;
}

function findLegacy(hierarchies: readonly Hierarchy[], names: string[], group: string): GroupPlace | undefined {
  const wanted = CONTROLLERS.filter((name) => names.includes(name));
  const hierarchy = hierarchies.find(({ version, controllers }) => {
    return version === 1 && wanted.length > 0 && wanted.every((name) => controllers.includes(name));
  });
  const folder = hierarchy && folderOf(hierarchy, group);
  return folder === undefined ? undefined : { version: 1, folder, controllers: wanted };
}

function findUnified(hierarchies: readonly Hierarchy[], group: string): GroupPlace | undefined {
  const hierarchy = hierarchies.find(({ version }) => version === 2);
  let folder = hierarchy && folderOf(hierarchy, group);
  while (hierarchy && folder !== undefined) {
    const offered = readWords(join(folder, 'cgroup.subtree_control'));
    const controllers = CONTROLLERS.filter((name) => offered.includes(name));
    if (controllers.length > 0) return { version: 2, folder, controllers };
    folder = folder === hierarchy.mountPoint ? undefined : dirname(folder);
  }
  return undefined;
}

/** undefined when the mount does not show the group. */
function folderOf({ root, mountPoint }: Hierarchy, group: string): string | undefined {
  const below = relative(root, group);
  if (below.startsWith('..')) return undefined;
  const folder = join(mountPoint, below);
  return existsSync(folder) ? folder : undefined;
}

function parseHierarchies(mountinfo: string): Hierarchy[] {
  return mountinfo.split('\n').flatMap((line) => {
    const [left, right] = line.split(' - ');
    const [, , , root, mountPoint] = left?.split(' ') ?? [];
    const [type, , options = ''] = right?.split(' ') ?? [];
    if (root === undefined || mountPoint === undefined || (type !== 'cgroup' && type !== 'cgroup2')) return [];
    return [{ root, mountPoint, version: type === 'cgroup2' ? 2 : 1, controllers: options.split(',') } as const];
  });
}

function readWords(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').trim().split(/\s+/);
  } catch {
    return [];
  }
}
