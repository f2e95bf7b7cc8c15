// SPDX-License-Identifier: Apache-2.0
// What is wrong with the control plane itself, or with who comes to it, as Events on its pod: kubectl describe shows
// them, and `isthmus analyze` reads them.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { KubeClient } from '../../kube/client.ts';
import { EVENTS } from '../../kube/resources.ts';
import { EVENT_SOURCE, eventTime, forgetOldest, writeEvent } from '../events.ts';
import { ISTIO_NAMESPACE } from '../mesh-resources.ts';

/** With another cluster: told on the Secret that names it as well. */
export const SECRET_TROUBLES = ['RemoteSecret', 'RemoteCluster', 'ClusterName', 'ClusterRoots'] as const;
export type SecretTrouble = (typeof SECRET_TROUBLES)[number];
export type PlaneTrouble = 'ClockSkew' | 'RefusedByProxy' | 'FileDescriptors' | 'GatewayName' | SecretTrouble;

export interface PlaneEventsOptions {
  readonly client: KubeClient;
  /** The pod that this process runs in. */
  readonly pod: string;
  /** Of that pod, once it is known. */
  readonly uid: () => string | undefined;
  readonly log: Logger;
  /** The API server's time, as far as it is known: our own may be what is wrong. */
  readonly nowMs: () => number;
  /** Since whenever: a clock that nobody sets, for the other one may be set right meanwhile. */
  readonly monotonicMs?: () => number;
}

/** What still stands is told again after this: who reads the Events takes older ones for over. */
export const REPEAT_MS = 5 * 60_000;
const MAX_REMEMBERED = 200;
/** These are told every few seconds while they stand: one that was not for so long is over. */
const RETOLD: ReadonlySet<PlaneTrouble> = new Set([...SECRET_TROUBLES, 'GatewayName']);
const OVER_MS = 45_000;
/** Another cause of the same trouble is told sooner: who acts on the old one mends what is not broken. */
const CHANGED_MS = 10_000;

interface Told {
  readonly trouble: PlaneTrouble;
  readonly event: string;
  readonly message: string;
  readonly count: number;
  /** When the Event was written. */
  readonly atMs: number;
  /** When it stood last. */
  seenMs: number;
}

export class PlaneEvents {
  readonly #options: PlaneEventsOptions;
  readonly #told = new Map<string, Told>();

  constructor(options: PlaneEventsOptions) {
    this.#options = options;
  }

  /**
   * As often as one likes, while it stands; `about` tells troubles of one kind apart. On the control plane's pod, or on the
   * Secret of istio-system that is behind it. Never throws.
   */
  async tell(
    trouble: PlaneTrouble,
    message: string,
    about = '',
    secret?: { name: string; uid: string },
  ): Promise<void> {
    const { client, pod, log } = this.#options;
    const object =
      secret === undefined
        ? { kind: 'Pod', name: pod, ...(this.#options.uid() === undefined ? {} : { uid: this.#options.uid() }) }
        : { kind: 'Secret', ...secret };
    const key = `${trouble} ${about}${secret === undefined ? '' : ` ${pod} ${secret.name} ${secret.uid}`}`;
    const atMs = this.#monotonicMs();
    const before = this.#told.get(key);
    if (before !== undefined) before.seenMs = atMs;
    const isNews = before !== undefined && before.message !== message && RETOLD.has(trouble);
    if (before !== undefined && atMs - before.atMs < (isNews ? CHANGED_MS : REPEAT_MS)) return;
    const count = (before?.count ?? 0) + 1;
    this.#told.delete(key);
    forgetOldest(this.#told, MAX_REMEMBERED);
    const event = `${object.name}.${createHash('sha256').update(key).digest('hex').slice(0, 16)}`;
    this.#told.set(key, { trouble, event, message, count, atMs, seenMs: atMs });
    const time = eventTime(this.#options.nowMs());
    // It may have been over meanwhile.
    const changing = { type: 'Warning', message: message.slice(0, 1_000), lastTimestamp: time, count };
    const written = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: event, namespace: ISTIO_NAMESPACE },
      involvedObject: { apiVersion: 'v1', namespace: ISTIO_NAMESPACE, ...object },
      reason: trouble,
      firstTimestamp: time,
      ...changing,
      ...EVENT_SOURCE,
    };
    await writeEvent(client, written, changing).catch((error: Error) => {
      // The next time may come sooner than that of what was told.
      this.#told.delete(key);
      log.warn({ err: error.message, trouble }, 'no Event was written');
    });
  }

  /** Says of what is over that it is. To be called now and then. Never throws. */
  async sweep(): Promise<void> {
    const { client, log } = this.#options;
    const nowMs = this.#monotonicMs();
    const over = [...this.#told].filter(([, { trouble, seenMs }]) => RETOLD.has(trouble) && nowMs - seenMs > OVER_MS);
    for (const [key, { event, message }] of over) {
      this.#told.delete(key);
      const patch = { type: 'Normal', message: `over: ${message}`.slice(0, 1_000) };
      await client.patch(EVENTS, event, ISTIO_NAMESPACE, patch).catch((error: Error) => {
        log.debug({ err: error.message, event }, 'an Event was not taken back');
      });
    }
  }

  #monotonicMs(): number {
    return (this.#options.monotonicMs ?? (() => performance.now()))();
  }
}
