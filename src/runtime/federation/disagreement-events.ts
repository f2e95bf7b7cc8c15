// SPDX-License-Identifier: Apache-2.0
// That a person's object stands before an import is told on that object, once for each.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Disagreement } from '../../federation/types.ts';
import type { KubeClient } from '../../kube/client.ts';
import { EVENT_SOURCE, eventTime, forgetOldest, writeEvent } from '../events.ts';

const MAX_REMEMBERED = 1_000;

export class DisagreementEvents {
  readonly #client: KubeClient;
  readonly #log: Logger;
  readonly #nowMs: () => number;
  readonly #told = new Map<string, true>();

  constructor(client: KubeClient, log: Logger, nowMs: () => number) {
    this.#client = client;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** All that stand now. */
  take(disagreements: readonly Disagreement[]): void {
    const standing = new Set(disagreements.map(({ message }) => message));
    for (const message of this.#told.keys()) if (!standing.has(message)) this.#told.delete(message);
    for (const each of disagreements) {
      if (this.#told.has(each.message)) continue;
      forgetOldest(this.#told, MAX_REMEMBERED);
      this.#told.set(each.message, true);
      this.#log.warn({ service: each.service }, each.message);
      void this.#write(each).catch((error: Error) =>
        this.#log.debug({ err: error.message }, 'an Event about an import could not be written'),
      );
    }
  }

  async #write({ message, reason, ref }: Disagreement): Promise<void> {
    const { apiVersion, kind, namespace, name } = ref;
    const at = eventTime(this.#nowMs());
    const id = createHash('sha256').update(`${kind} ${namespace}/${name} ${message}`).digest('hex').slice(0, 16);
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${id}`, namespace },
      involvedObject: { apiVersion, kind, namespace, name },
      type: 'Warning',
      reason,
      message,
      count: 1,
      firstTimestamp: at,
      lastTimestamp: at,
      ...EVENT_SOURCE,
    };
    await writeEvent(this.#client, event, { lastTimestamp: at });
  }
}
