// SPDX-License-Identifier: Apache-2.0
// What Envoy refuses is told to the owner of the object behind it: as an Event, which kubectl describe shows.
import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { ObjectRef } from '../../api/diagnostics.ts';
import type { KubeClient } from '../../kube/client.ts';
import type { KubeObject } from '../../kube/types.ts';
import { EVENT_SOURCE, eventTime, forgetOldest, writeEvent } from '../events.ts';
import { meshResources } from '../mesh-resources.ts';
import type { Refusal } from '../streams/refusals.ts';

/** A hundred proxies refuse one resource a hundred times: its owner is told once in this time. */
const REPEAT_MS = 10_000;
const MAX_BLAMED = 3;
/** A proxy says what it likes in its refusals: a new sentence each time must not fill the API server, nor us. */
const MAX_WRITES = 60;
const MINUTE_MS = 60_000;
const MAX_REMEMBERED = 1_000;

export class RefusalEvents {
  readonly #client: KubeClient;
  readonly #log: Logger;
  readonly #nowMs: () => number;
  /** Object, resource and message -> how often, and when it was written. */
  readonly #told = new Map<string, { count: number; writtenAtMs: number }>();
  #minuteStartMs = Number.NEGATIVE_INFINITY;
  #writes = 0;

  constructor(client: KubeClient, log: Logger, nowMs: () => number = Date.now) {
    this.#client = client;
    this.#log = log;
    this.#nowMs = nowMs;
  }

  /** Never throws: an Event that cannot be written is logged. */
  async tell(refusal: Refusal): Promise<void> {
    // A table of routes has many objects in it: all their owners would be told of one mistake.
    const { resource, message } = refusal;
    const told = `${resource}: ${message}; the proxies keep what they had before`;
    for (const blamed of refusal.blamed.slice(0, MAX_BLAMED)) await this.tellOf(blamed, 'RefusedByEnvoy', told);
  }

  /** The same for whatever else keeps proxies from doing what an object says. Never throws. */
  async tellOf(blamed: ObjectRef, reason: string, message: string): Promise<void> {
    const nowMs = this.#nowMs();
    const { kind, namespace, name } = blamed;
    const key = [kind, namespace, name, reason, message].join('\0');
    const before = this.#told.get(key);
    if (before !== undefined && nowMs - before.writtenAtMs < REPEAT_MS) {
      before.count++;
      return;
    }
    if (!this.#mayWrite(nowMs)) return;
    const count = (before?.count ?? 0) + 1;
    this.#told.delete(key);
    forgetOldest(this.#told, MAX_REMEMBERED);
    this.#told.set(key, { count, writtenAtMs: nowMs });
    try {
      const type = meshResources().find((resource) => resource.type.kind === kind)?.type;
      const object = type === undefined ? undefined : await this.#client.get(type, name, namespace);
      if (object === undefined) return;
      const changing = { lastTimestamp: eventTime(nowMs), count };
      const event = { ...buildEvent(blamed, { reason, message, uid: object.metadata.uid ?? '', nowMs }), ...changing };
      await writeEvent(this.#client, event, changing);
    } catch (error) {
      this.#log.warn({ object: `${kind} ${namespace}/${name}`, err: (error as Error).message }, 'no Event was written');
    }
  }

  #mayWrite(nowMs: number): boolean {
    if (nowMs - this.#minuteStartMs >= MINUTE_MS) {
      this.#minuteStartMs = nowMs;
      this.#writes = 0;
    }
    return ++this.#writes <= MAX_WRITES;
  }
}

/** `uid`: kubectl describe shows the Events of this very object, not of an earlier one of its name. */
function buildEvent(
  blamed: ObjectRef,
  told: { reason: string; message: string; uid: string; nowMs: number },
): KubeObject {
  const { reason, message, uid, nowMs } = told;
  const hash = createHash('sha256').update(`${uid}\0${message}`).digest('hex').slice(0, 16);
  const { apiVersion, kind, namespace, name } = blamed;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${hash}`, namespace },
    involvedObject: { apiVersion, kind, namespace, name, uid },
    type: 'Warning',
    reason,
    message: message.slice(0, 1_000),
    firstTimestamp: eventTime(nowMs),
    ...EVENT_SOURCE,
  };
}
