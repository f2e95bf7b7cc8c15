// SPDX-License-Identifier: Apache-2.0
import { EVENTS } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, createQueue } from '../controller.ts';
import { keyOf } from '../informer.ts';

const NAME = 'event-expiry';
/** As long as a kube-apiserver keeps them by default (there the storage forgets them by itself). */
const TTL_MS = 3_600_000;

/** Events go an hour after they last happened, or a sandbox that stays up would fill with them. Keys are Events. */
export function createEventExpiry(context: ControllerContext, ttlMs = TTL_MS): Controller {
  const events = context.informers.of(EVENTS);
  const queue = createQueue(context, NAME, { concurrency: 2 });
  const leftMs = (event: KubeObject): number => lastSeenMs(event) + ttlMs - context.nowMs();
  events.onChange((before, after) => {
    if (before === undefined && after !== undefined) queue.addAfter(keyOf(after), leftMs(after));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const event = events.byKey(key);
      if (event === undefined) return;
      // It may have happened again since.
      const remaining = leftMs(event);
      if (remaining > 0) return { afterMs: remaining };
      await context.client.delete(EVENTS, event.metadata.name ?? '', event.metadata.namespace);
    },
  };
}

function lastSeenMs(event: KubeObject): number {
  const series = event['series'] as { lastObservedTime?: string } | undefined;
  const times = [
    event['lastTimestamp'],
    event['eventTime'],
    series?.lastObservedTime,
    event.metadata.creationTimestamp,
  ];
  return Math.max(0, ...times.map((time) => (typeof time === 'string' ? Date.parse(time) || 0 : 0)));
}
