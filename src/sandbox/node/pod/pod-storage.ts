// SPDX-License-Identifier: Apache-2.0
// Where a pod keeps what it writes: folders on the node's disk, and file systems in memory that have a size.
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseQuantity } from '../../../kube/quantity.ts';
import { mountMemory, unmountBelow } from '../container/memory-mount.ts';
import type { Pod } from '../pod-types.ts';
import { pause } from './pause.ts';
import { diskUsage, findExcess, selectStorageLimits } from './storage-limits.ts';

/** Container runtimes give /dev/shm so much. */
const SHARED_MEMORY_BYTES = 64 * 2 ** 20;
/** Of an emptyDir with medium Memory that names no sizeLimit. */
const MEMORY_VOLUME_BYTES = 2 ** 30;
const CHECK_MS = 10_000;

export class PodStorage {
  readonly #folder: string;
  readonly #memoryFolder: string;

  /**
   * @param folder of this pod, on the disk: logs and emptyDir volumes
   * @param memoryFolder of this pod, in memory: what comes from objects, and emptyDir volumes with medium Memory
   */
  constructor(folder: string, memoryFolder: string) {
    this.#folder = folder;
    this.#memoryFolder = memoryFolder;
  }

  get diskVolumes(): string {
    return join(this.#folder, 'volumes');
  }
  get memoryVolumes(): string {
    return join(this.#memoryFolder, 'volumes');
  }
  /** Becomes /dev/shm. */
  get sharedMemory(): string {
    return join(this.#memoryFolder, 'shared', 'shm');
  }
  get terminationMessages(): string {
    return join(this.#memoryFolder, 'shared', 'termination');
  }

  /** Where the output of a container's start number `attempt` is. */
  logPath(container: string, attempt: number): string {
    return join(this.#folder, 'logs', container, `${attempt}.log`);
  }

  /** Everything in memory that the pod's containers write to. @throws Error with what mount(8) said */
  async mountMemory(pod: Pod): Promise<void> {
    await mountMemory(join(this.#memoryFolder, 'shared'), SHARED_MEMORY_BYTES);
    for (const folder of [this.sharedMemory, this.terminationMessages]) mkdirSync(folder);
    chmodSync(this.sharedMemory, 0o1777);
    for (const { name, emptyDir } of pod.spec.volumes ?? []) {
      if (emptyDir?.medium !== 'Memory') continue;
      const bytes = emptyDir.sizeLimit ? parseQuantity(emptyDir.sizeLimit) : MEMORY_VOLUME_BYTES;
      await mountMemory(join(this.memoryVolumes, name), bytes);
    }
  }

  /**
   * Compares what the pod has on the disk with its limits, if it has any, until the signal aborts.
   * @param exceeded is told what the pod's status shall say
   */
  async watch(pod: Pod, exceeded: (message: string) => void, signal: AbortSignal, checkMs = CHECK_MS): Promise<void> {
    const limits = selectStorageLimits(pod, this.diskVolumes);
    while (limits.length > 0 && !signal.aborted) {
      await pause(checkMs, signal);
      const excess = signal.aborted ? undefined : await findExcess(limits);
      if (excess) exceeded(excess.message);
    }
  }

  /** What the pod keeps on the disk, in bytes. */
  diskUsage(): Promise<number> {
    return diskUsage(this.#folder);
  }

  /** Logs too. The pod's processes must be gone. */
  async remove(): Promise<void> {
    await unmountBelow(this.#memoryFolder);
    for (const folder of [this.#folder, this.#memoryFolder]) rmSync(folder, { recursive: true, force: true });
  }
}
