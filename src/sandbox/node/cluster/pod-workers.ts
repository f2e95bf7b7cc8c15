// SPDX-License-Identifier: Apache-2.0
// The pods that the API server has bound to this node, each with its runtime.
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { PODS } from '../../../kube/resources.ts';
import { watchResource } from '../../../kube/watch.ts';
import type { PodNetwork } from '../../network/pod-network.ts';
import { pause } from '../pod/pause.ts';
import { type PodDependencies, PodRuntime } from '../pod/pod-runtime.ts';
import type { Pod, PodStatus } from '../pod-types.ts';
import { StatusWriter } from './status-writer.ts';

export interface PodWorkersOptions {
  readonly client: KubeClient;
  readonly nodeName: string;
  readonly network: PodNetwork;
  readonly dependencies: Omit<PodDependencies, 'changed' | 'network'>;
  readonly signal: AbortSignal;
  readonly onError: (error: Error) => void;
}

const DELETE_RETRY_MS = 1_000;
/** Also who deletes by force lets programs see SIGTERM, as the kubelet does. */
const MIN_GRACE_SECONDS = 1;

export class PodWorkers {
  readonly #options: PodWorkersOptions;
  readonly #dependencies: PodDependencies;
  readonly #statuses: StatusWriter;
  readonly #pods = new Map<string, PodRuntime>();

  constructor(options: PodWorkersOptions) {
    this.#options = options;
    this.#statuses = new StatusWriter(options.client, options.signal, options.onError);
    this.#dependencies = {
      ...options.dependencies,
      network: options.network,
      changed: (runtime) => this.#statuses.changed(runtime),
    };
  }

  /** Watches until the signal aborts. `synced` is called when all pods that were there have been taken up. */
  run(synced: () => void): Promise<void> {
    return watchResource<Pod>(
      this.#options.client,
      PODS,
      { fieldSelector: `spec.nodeName=${this.#options.nodeName}`, signal: this.#options.signal },
      {
        upsert: (pod) => {
          try {
            this.#take(pod);
          } catch (error) {
            // One pod that we cannot make sense of must not end the node.
            const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
            this.#options.onError(new Error(`pod ${name}: ${(error as Error).message}`));
          }
        },
        delete: (pod) => void this.#forget(pod).catch(this.#options.onError),
        synced: () => {
          void this.#removeLeftovers().catch(this.#options.onError);
          synced();
        },
        error: this.#options.onError,
      },
    );
  }

  /** Kills all containers; the pods stay what they are for the API server, and keep their addresses. */
  async abandon(): Promise<void> {
    await Promise.all(this.list().map((runtime) => runtime.abandon()));
  }

  list(): PodRuntime[] {
    return [...this.#pods.values()];
  }

  find(namespace: string, name: string): PodRuntime | undefined {
    return this.list().find(({ pod }) => pod.metadata.namespace === namespace && pod.metadata.name === name);
  }

  #take(pod: Pod): void {
    const uid = pod.metadata.uid ?? '';
    const known = this.#pods.get(uid);
    if (known) {
      known.update(pod);
      // While the node was silent, somebody may have written that its pods are not ready.
      if (readinessOf(pod.status) !== readinessOf(known.status())) this.#statuses.changed(known);
    }
    if (pod.metadata.deletionTimestamp) {
      void this.#end(pod, known).catch(this.#options.onError);
      return;
    }
    if (!known) this.#pods.set(uid, new PodRuntime(pod, this.#dependencies));
  }

  /** Someone deletes the pod: end it within its grace period, then say that it is gone. */
  async #end(pod: Pod, runtime: PodRuntime | undefined): Promise<void> {
    const { deletionGracePeriodSeconds: ordered } = pod.metadata;
    const graceSeconds = Math.max(MIN_GRACE_SECONDS, ordered ?? pod.spec.terminationGracePeriodSeconds ?? 30);
    const isFirst = !runtime?.isStopping;
    const stopped = runtime?.stop(graceSeconds * 1000);
    if (!isFirst && runtime) return;
    await stopped;
    // How the containers ended is told before the pod goes.
    await this.#statuses.flush(pod.metadata.uid ?? '');
    const { name, namespace, uid } = pod.metadata;
    while (!this.#options.signal.aborted) {
      try {
        await this.#options.client.delete(PODS, name ?? '', namespace, {
          gracePeriodSeconds: 0,
          ...(uid && { uid }),
        });
        return;
      } catch (error) {
        if (error instanceof KubeError && error.code === 409) return;
        this.#options.onError(error as Error);
        await pause(DELETE_RETRY_MS, this.#options.signal);
      }
    }
  }

  /** The object is gone: whatever still runs ends now. */
  async #forget(pod: Pod): Promise<void> {
    const uid = pod.metadata.uid ?? '';
    const runtime = this.#pods.get(uid);
    this.#pods.delete(uid);
    if (runtime) {
      await runtime.stop(MIN_GRACE_SECONDS * 1000);
      await runtime.removeFiles();
    } else {
      rmSync(join(this.#dependencies.podsDir, uid), { recursive: true, force: true });
    }
  }

  /** Addresses and folders of pods that were deleted while no node process ran. */
  async #removeLeftovers(): Promise<void> {
    for (const uid of await this.#options.network.recover()) {
      if (!this.#pods.has(uid)) await this.#options.network.detach(uid);
    }
    const { items } = await this.#options.client.list<Pod>(PODS, {
      fieldSelector: `spec.nodeName=${this.#options.nodeName}`,
      signal: this.#options.signal,
    });
    const alive = new Set(items.map(({ metadata }) => metadata.uid));
    for (const folder of readdirSync(this.#dependencies.podsDir)) {
      if (alive.has(folder) || this.#pods.has(folder)) continue;
      rmSync(join(this.#dependencies.podsDir, folder), { recursive: true, force: true });
    }
  }
}

function readinessOf(status: PodStatus | undefined): string | undefined {
  return status?.conditions?.find(({ type }) => type === 'Ready')?.status;
}
