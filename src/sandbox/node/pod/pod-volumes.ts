// SPDX-License-Identifier: Apache-2.0
// All volumes of a pod: made, filled and kept up to date until the pod is gone.
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ContainerMount } from '../container/root-plan.ts';
import type { Container, Pod } from '../pod-types.ts';
import { ClaimVolume, claimOf } from './claim-volume.ts';
import { ContainerConfigError, expandReferences } from './environment.ts';
import type { PodPlace } from './fields.ts';
import type { ObjectSource } from './object-source.ts';
import { ProjectedVolume, projectedSources } from './projected-volume.ts';

export interface PodVolumesOptions {
  readonly pod: Pod;
  readonly place: PodPlace;
  /** On disk: emptyDir. */
  readonly diskFolder: string;
  /** In memory: everything that comes from objects, and emptyDir with medium Memory. */
  readonly memoryFolder: string;
  /** The node's disk: persistent volumes, which outlive the pod. */
  readonly nodeDisk: string;
  readonly objects: ObjectSource;
  readonly rootless: boolean;
  readonly signal: AbortSignal;
}

/** First complaint after this time, then each time twice as long: a ConfigMap that is about to be made is no failure. */
const FIRST_COMPLAINT_MS = 2_000;
const MAX_COMPLAINT_MS = 120_000;

export class PodVolumes {
  readonly #paths = new Map<string, string>();
  readonly #projected: ProjectedVolume[] = [];
  readonly #claims: ClaimVolume[] = [];
  readonly #signal: AbortSignal;
  #wake: () => void = () => {};

  constructor(options: PodVolumesOptions) {
    const { pod, place, objects, signal } = options;
    this.#signal = signal;
    const gid = options.rootless ? undefined : pod.spec.securityContext?.fsGroup;
    for (const folder of [options.diskFolder, options.memoryFolder])
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    for (const volume of pod.spec.volumes ?? []) {
      const projected = projectedSources(volume);
      const claim = claimOf(pod, volume);
      if (claim) {
        const onChange = () => this.#wake();
        this.#claims.push(
          new ClaimVolume(claim, {
            namespace: pod.metadata.namespace ?? '',
            disk: options.nodeDisk,
            gid,
            objects,
            signal,
            onChange,
          }),
        );
      } else if (projected) {
        const path = join(options.memoryFolder, volume.name);
        const onChange = () => this.#wake();
        const { sources, defaultMode } = projected;
        this.#projected.push(
          new ProjectedVolume(volume.name, sources, defaultMode, { pod, place, path, gid, objects, signal, onChange }),
        );
        this.#paths.set(volume.name, path);
      } else {
        const isInMemory = volume.emptyDir?.medium === 'Memory';
        const path = join(isInMemory ? options.memoryFolder : options.diskFolder, volume.name);
        makeEmptyDir(path, gid);
        this.#paths.set(volume.name, path);
      }
    }
  }

  /** What keeps volumes from being used, one sentence per volume. */
  problems(): string[] {
    return [...this.#projected, ...this.#claims].flatMap(({ name, problem }) =>
      problem === undefined ? [] : [`MountVolume.SetUp failed for volume "${name}" : ${problem}`],
    );
  }

  /** Resolves when every volume can be used, or the signal aborts. `complain` is told from time to time what is missing. */
  async ready(complain: (problem: string) => void): Promise<void> {
    let complaintMs = FIRST_COMPLAINT_MS;
    let complainAt = Date.now() + complaintMs;
    while (!this.#signal.aborted && this.problems().length > 0) {
      await this.#changed(Math.max(0, complainAt - Date.now()));
      if (Date.now() < complainAt) continue;
      for (const problem of this.problems()) complain(problem);
      complaintMs = Math.min(MAX_COMPLAINT_MS, complaintMs * 2);
      complainAt = Date.now() + complaintMs;
    }
  }

  update(pod: Pod): void {
    for (const volume of this.#projected) volume.update(pod);
  }

  /** @throws ContainerConfigError when a mount names a volume that the pod does not have */
  mountsOf(container: Container, environment: Readonly<Record<string, string>>): ContainerMount[] {
    return (container.volumeMounts ?? []).map((mount) => {
      const claim = this.#claims.find(({ name }) => name === mount.name);
      const source = claim?.path ?? this.#paths.get(mount.name);
      if (source === undefined) {
        throw new ContainerConfigError(
          `container "${container.name}" mounts the volume "${mount.name}", which the pod has not`,
        );
      }
      const subPath = mount.subPathExpr ? expandReferences(mount.subPathExpr, environment) : mount.subPath;
      if (subPath?.startsWith('/') || subPath?.split('/').includes('..')) {
        throw new ContainerConfigError(`container "${container.name}": subPath "${subPath}" leads out of its volume`);
      }
      const isFromObjects = this.#projected.some(({ name }) => name === mount.name);
      return {
        source,
        target: mountTarget(container.name, mount.mountPath),
        ...(subPath ? { subPath: subPath.replace(/\/+$/, '') } : {}),
        // Volumes made of objects are the node's to write, as in Kubernetes since 1.9.
        readOnly: mount.readOnly === true || isFromObjects || claim?.isReadOnly === true,
      };
    });
  }

  #changed(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, timeoutMs);
      const signal = this.#signal;
      signal.addEventListener('abort', done, { once: true });
      this.#wake = done;
      function done() {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        resolve();
      }
    });
  }
}

/** Absolute, without `.` or `..`; the places that belong to the system are refused. */
function mountTarget(container: string, mountPath: string): string {
  const parts = mountPath.split('/').filter((part) => part !== '' && part !== '.');
  const first = parts[0];
  if (first === undefined || parts.includes('..') || ['proc', 'sys'].includes(first) || /[\n\t]/.test(mountPath)) {
    throw new ContainerConfigError(`container "${container}": mountPath "${mountPath}" is not allowed`);
  }
  return `/${parts.join('/')}`;
}

function makeEmptyDir(path: string, gid: number | undefined): void {
  mkdirSync(path, { recursive: true });
  if (gid !== undefined) chownSync(path, -1, gid);
  chmodSync(path, gid === undefined ? 0o777 : 0o2777);
}
