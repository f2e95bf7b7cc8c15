// SPDX-License-Identifier: Apache-2.0
// How much a pod may keep on the node's disk. Nothing stops a write there; a pod that has too much is evicted.
// https://kubernetes.io/docs/concepts/storage/ephemeral-storage/
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { parseQuantity } from '../../../kube/quantity.ts';
import type { Pod } from '../pod-types.ts';

export interface StorageLimit {
  readonly folder: string;
  readonly bytes: number;
  /** What the pod's status says when it has more. */
  readonly message: string;
}

/** @param volumesFolder holds the pod's emptyDir volumes that are on the disk, by their names */
export function selectStorageLimits(pod: Pod, volumesFolder: string): StorageLimit[] {
  const limits: StorageLimit[] = [];
  for (const { name, emptyDir } of pod.spec.volumes ?? []) {
    if (!emptyDir?.sizeLimit || emptyDir.medium === 'Memory') continue;
    const message = `Usage of EmptyDir volume "${name}" exceeds the limit "${emptyDir.sizeLimit}".`;
    limits.push({ folder: join(volumesFolder, name), bytes: parseQuantity(emptyDir.sizeLimit), message });
  }
  const ofContainers = pod.spec.containers.map(({ resources }) => resources?.limits?.['ephemeral-storage']);
  // A container without a limit leaves the pod without one.
  if (ofContainers.length > 0 && ofContainers.every((limit) => limit !== undefined)) {
    const bytes = ofContainers.reduce<number>((sum, limit) => sum + parseQuantity(limit ?? 0), 0);
    const message = `Pod ephemeral local storage usage exceeds the total limit of containers ${bytes}.`;
    limits.push({ folder: volumesFolder, bytes, message });
  }
  return limits;
}

/** The first limit that is passed. */
export async function findExcess(limits: readonly StorageLimit[]): Promise<StorageLimit | undefined> {
  for (const limit of limits) if ((await diskUsage(limit.folder)) > limit.bytes) return limit;
  return undefined;
}

/** What a folder occupies on the disk. What vanishes meanwhile counts nothing. */
export async function diskUsage(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    const info = await lstat(path).catch(() => undefined);
    bytes += (info?.blocks ?? 0) * 512;
    if (entry.isDirectory()) bytes += await diskUsage(path);
  }
  return bytes;
}
