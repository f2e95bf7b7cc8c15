// SPDX-License-Identifier: Apache-2.0
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { PODS } from '../../../kube/resources.ts';
import { pause } from '../pod/pause.ts';
import type { PodRuntime } from '../pod/pod-runtime.ts';

interface Writing {
  isDirty: boolean;
  sent: string;
  done: Promise<void>;
}

const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

/** Brings pods' statuses to the API server: at once, one request at a time per pod, the newest state only. */
export class StatusWriter {
  readonly #client: KubeClient;
  readonly #signal: AbortSignal;
  readonly #onError: (error: Error) => void;
  readonly #writings = new Map<string, Writing>();

  constructor(client: KubeClient, signal: AbortSignal, onError: (error: Error) => void) {
    this.#client = client;
    this.#signal = signal;
    this.#onError = onError;
  }

  changed(runtime: PodRuntime): void {
    const writing = this.#writings.get(runtime.uid);
    if (writing) {
      writing.isDirty = true;
      return;
    }
    const fresh: Writing = { isDirty: true, sent: '', done: Promise.resolve() };
    this.#writings.set(runtime.uid, fresh);
    fresh.done = this.#write(runtime, fresh);
  }

  /** Resolves when what is known now was written (or refused for good). */
  async flush(uid: string): Promise<void> {
    await this.#writings.get(uid)?.done;
  }

  async #write(runtime: PodRuntime, writing: Writing): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    // What changes in the same turn of the event loop goes out together.
    await new Promise((resolve) => setImmediate(resolve));
    while (writing.isDirty && !this.#signal.aborted) {
      writing.isDirty = false;
      const status = runtime.status();
      const text = JSON.stringify(status);
      if (text === writing.sent) continue;
      const { name, namespace, uid } = runtime.pod.metadata;
      try {
        // With the uid, a pod of the same name that came later is not hit.
        const patch = { metadata: { uid }, status };
        await this.#client.patch(PODS, name ?? '', namespace, patch, { subresource: 'status' });
        writing.sent = text;
        retryMs = FIRST_RETRY_MS;
      } catch (error) {
        if (error instanceof KubeError && (error.code === 404 || error.code === 409)) continue;
        this.#onError(error as Error);
        writing.isDirty = true;
        await pause(retryMs, this.#signal);
        retryMs = Math.min(MAX_RETRY_MS, retryMs * 2);
      }
    }
    this.#writings.delete(runtime.uid);
  }
}
