// SPDX-License-Identifier: Apache-2.0
// Keeps pods from filling the disk that everything else of the sandbox needs too, as a kubelet does under disk pressure.
// https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/
import { statfs } from 'node:fs/promises';
import { pause } from '../pod/pause.ts';
import type { PodRuntime } from '../pod/pod-runtime.ts';

const CHECK_MS = 10_000;
const MIN_FREE_BYTES = 512 * 2 ** 20;
/** A pod that has less than this is not what fills the disk. */
const MIN_SHARE_BYTES = 64 * 2 ** 20;
const EVICTION_GRACE_MS = 1_000;

export type GuardedPod = Pick<PodRuntime, 'isFinished' | 'diskUsage' | 'evict'>;

/** Until the signal aborts. @param readFreeBytes of the disk in question */
export async function guardDisk(
  readFreeBytes: () => Promise<number>,
  pods: () => readonly GuardedPod[],
  signal: AbortSignal,
  checkMs = CHECK_MS,
): Promise<void> {
  while (!signal.aborted) {
    await pause(checkMs, signal);
    const free = await readFreeBytes();
    if (free < MIN_FREE_BYTES && !signal.aborted) await evictLargest(pods(), free);
  }
}

/** What is free for this process on the disk of a folder. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function evictLargest(pods: readonly GuardedPod[], free: number): Promise<void> {
  const usages = await Promise.all(
    pods.filter((pod) => !pod.isFinished).map(async (pod) => ({ pod, bytes: await pod.diskUsage() })),
  );
  const [largest] = usages.sort((a, b) => b.bytes - a.bytes);
  if (!largest || largest.bytes < MIN_SHARE_BYTES) return;
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)}Mi`;
  const message =
    'The node was low on resource: ephemeral-storage. ' +
    `Threshold quantity: ${mebibytes(MIN_FREE_BYTES)}, available: ${mebibytes(free)}. ` +
    `The pod was using ${mebibytes(largest.bytes)}, more than any other.`;
  await largest.pod.evict(message, EVICTION_GRACE_MS);
}
