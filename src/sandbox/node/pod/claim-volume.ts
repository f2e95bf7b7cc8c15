// SPDX-License-Identifier: Apache-2.0
// A volume that outlives its pods: a directory on the node's disk, found by way of the claim that is bound to it.
import { chmodSync, chownSync, existsSync, mkdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { PersistentVolume, Pod, Volume } from '../pod-types.ts';
import type { ObjectSource } from './object-source.ts';
import { pause } from './pause.ts';

export interface ClaimVolumeOptions {
  readonly namespace: string;
  readonly disk: string;
  readonly gid: number | undefined;
  readonly objects: ObjectSource;
  readonly signal: AbortSignal;
  readonly onChange: () => void;
}

export interface Claim {
  /** Of the volume in the pod. */
  readonly volume: string;
  readonly claim: string;
  readonly isReadOnly: boolean;
}

const RETRY_MS = 1_000;

/** undefined for a volume of another kind. */
export function claimOf(pod: Pod, { name, persistentVolumeClaim, ephemeral }: Volume): Claim | undefined {
  if (ephemeral !== undefined) return { volume: name, claim: `${pod.metadata.name}-${name}`, isReadOnly: false };
  if (persistentVolumeClaim === undefined) return undefined;
  return { volume: name, claim: persistentVolumeClaim.claimName, isReadOnly: persistentVolumeClaim.readOnly === true };
}

/** Looks for its directory until it is there. */
export class ClaimVolume {
  readonly name: string;
  readonly isReadOnly: boolean;
  path: string | undefined;
  problem: string | undefined = 'the volume of its claim is being looked up';

  constructor({ volume, claim, isReadOnly }: Claim, options: ClaimVolumeOptions) {
    this.name = volume;
    this.isReadOnly = isReadOnly;
    void this.#find(claim, options);
  }

  async #find(claim: string, { namespace, disk, gid, objects, signal, onChange }: ClaimVolumeOptions): Promise<void> {
    while (!signal.aborted) {
      try {
        this.path = makeDirectory(disk, await objects.volumeOfClaim(namespace, claim), gid);
        this.problem = undefined;
        onChange();
        return;
      } catch (error) {
        this.problem = (error as Error).message;
        onChange();
        await pause(RETRY_MS, signal);
      }
    }
  }
}

/**
 * The path of a volume is one on the node's disk. Each has a folder of its own there, never inside another one: what a
 * pod writes into its volume, a link for example, is no part of the way to any other.
 * @throws Error for a volume that is no directory of the node
 */
export function directoryOf(disk: string, { metadata, spec }: PersistentVolume): string {
  const path = spec.local?.path ?? spec.hostPath?.path;
  if (path === undefined) {
    throw new Error(
      `volume ${JSON.stringify(metadata.name)} is neither "local" nor "hostPath": the node has no driver for it`,
    );
  }
  const parts = posix.normalize(`/${path}`).split('/').filter(Boolean);
  if (parts.length === 0)
    throw new Error(`volume ${JSON.stringify(metadata.name)}: the path ${JSON.stringify(path)} is the whole disk`);
  return join(disk, encodeURIComponent(parts.join('/')));
}

function makeDirectory(disk: string, volume: PersistentVolume, gid: number | undefined): string {
  const path = directoryOf(disk, volume);
  mkdirSync(disk, { recursive: true, mode: 0o700 });
  if (!existsSync(path)) {
    mkdirSync(path);
    // Whoever the containers run as: the claim says who may use it, not the mode.
    chmodSync(path, 0o777);
  }
  if (gid !== undefined) {
    chownSync(path, -1, gid);
    chmodSync(path, 0o2777);
  }
  return path;
}
