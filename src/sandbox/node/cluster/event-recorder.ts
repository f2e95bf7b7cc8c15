// SPDX-License-Identifier: Apache-2.0
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { EVENTS } from '../../../kube/resources.ts';
import type { PodEvent } from '../pod/object-source.ts';
import type { Pod } from '../pod-types.ts';

interface Recorded {
  readonly name: string;
  readonly namespace: string;
  count: number;
}

interface InvolvedObject {
  readonly apiVersion: string;
  readonly kind: 'Pod' | 'Node';
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion?: string;
  readonly fieldPath?: string;
}

const MAX_REMEMBERED = 1_000;
const MAX_QUEUED = 500;

/**
 * Writes events about pods and the node, one after the other and in the background: they must never hold a pod up. The same event
 * again raises its count.
 */
export class EventRecorder {
  readonly #client: KubeClient;
  readonly #nodeName: string;
  readonly #onError: (error: Error) => void;
  readonly #recorded = new Map<string, Recorded>();
  readonly #queue: (() => Promise<void>)[] = [];
  #isRunning = false;
  #sequence = 0;

  constructor(client: KubeClient, nodeName: string, onError: (error: Error) => void) {
    this.#client = client;
    this.#nodeName = nodeName;
    this.#onError = onError;
  }

  record(pod: Pod, event: PodEvent): void {
    const { namespace = 'default', name = '', uid = '', resourceVersion = '' } = pod.metadata;
    const { fieldPath } = event;
    const involved: InvolvedObject = { apiVersion: 'v1', kind: 'Pod', namespace, name, uid, resourceVersion };
    this.#enqueue(namespace, fieldPath === undefined ? involved : { ...involved, fieldPath }, event);
  }

  /** An event about the node itself; by the kubelet's convention, its name stands for its uid. */
  recordOfNode(event: PodEvent): void {
    const name = this.#nodeName;
    this.#enqueue('default', { apiVersion: 'v1', kind: 'Node', name, uid: name }, event);
  }

  #enqueue(namespace: string, involved: InvolvedObject, event: PodEvent): void {
    if (this.#queue.length >= MAX_QUEUED) return;
    const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
    this.#queue.push(() => this.#write(namespace, involved, event, time));
    if (!this.#isRunning) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) {
      try {
        await next();
      } catch (error) {
        this.#onError(error as Error);
      }
    }
    this.#isRunning = false;
  }

  async #write(namespace: string, involved: InvolvedObject, event: PodEvent, time: string): Promise<void> {
    const key = [involved.uid, event.reason, event.fieldPath, event.message].join('\n');
    const known = this.#recorded.get(key);
    if (known) {
      known.count++;
      try {
        const patch = { count: known.count, lastTimestamp: time };
        await this.#client.patch(EVENTS, known.name, known.namespace, patch);
        return;
      } catch (error) {
        // Events are forgotten by the API server after a while.
        if (!(error instanceof KubeError && error.code === 404)) throw error;
      }
    }
    const name = `${involved.name}.${Date.now().toString(16)}${(this.#sequence++).toString(16).padStart(4, '0')}`;
    this.#remember(key, { name, namespace, count: 1 });
    await this.#client.create(EVENTS, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace },
      involvedObject: involved,
      type: event.type,
      reason: event.reason,
      message: event.message.slice(0, 1024),
      source: { component: 'kubelet', host: this.#nodeName },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      reportingComponent: 'kubelet',
      reportingInstance: this.#nodeName,
    });
  }

  #remember(key: string, recorded: Recorded): void {
    this.#recorded.delete(key);
    this.#recorded.set(key, recorded);
    if (this.#recorded.size <= MAX_REMEMBERED) return;
    for (const oldest of this.#recorded.keys()) {
      this.#recorded.delete(oldest);
      break;
    }
  }
}
