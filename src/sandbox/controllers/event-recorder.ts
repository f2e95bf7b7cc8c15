// SPDX-License-Identifier: Apache-2.0
// core/v1 Events for `kubectl describe` and `kubectl get events`. A repeated event is counted, not written again.
import type { KubeClient } from '../../kube/client.ts';
import { EVENTS } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';

export interface EventRecorder {
  /** Never fails and never waits: an event that cannot be written is lost. */
  record(about: KubeObject, type: 'Normal' | 'Warning', reason: string, message: string): void;
}

interface Recorded extends KubeObject {
  count?: number;
  series?: { count: number };
}

/** `core`: first and last time and a count. `events`: as events.k8s.io has it, a time and then a series. */
export type EventForm = 'core' | 'events';

const REMEMBERED = 2_000;
/** Of one component about one object: so many at once, then one more in each interval. The others are lost. */
const BURST = 25;
const REFILL_MS = 300_000;

/**
 * @param component named as the source: `deployment-controller`
 * @param nowMs the clock
 */
export function createEventRecorder(
  client: KubeClient,
  component: string,
  nowMs: () => number,
  form: EventForm = 'core',
): EventRecorder {
  const recent = new Map<string, Recorded>();
  const budgets = new Map<string, { left: number; atMs: number }>();
  let last = Promise.resolve();

  /** A workload of five hundred pods says what it does, but not five hundred times. */
  const isSpam = ({ metadata: { uid = '', namespace, name } }: KubeObject): boolean => {
    const key = uid || `${namespace}/${name}`;
    const atMs = nowMs();
    const before = budgets.get(key) ?? { left: BURST, atMs };
    const left = Math.min(BURST, before.left + (atMs - before.atMs) / REFILL_MS);
    // The map is in the order of use: the first was silent for the longest.
    budgets.delete(key);
    budgets.set(key, { left: left >= 1 ? left - 1 : left, atMs });
    const oldest = budgets.keys().next();
    if (budgets.size > REMEMBERED && !oldest.done) budgets.delete(oldest.value);
    return left < 1;
  };

  const write = async (about: KubeObject, type: string, reason: string, message: string): Promise<void> => {
    const { name = '', namespace = 'default', uid } = about.metadata;
    const now = new Date(nowMs()).toISOString().replace(/\.\d+Z$/, 'Z');
    const key = JSON.stringify([about.kind, namespace, name, uid, type, reason, message]);
    const before = recent.get(key);
    if (before !== undefined) {
      const patch =
        form === 'core'
          ? { count: (before.count ?? 1) + 1, lastTimestamp: now }
          : { series: { count: (before.series?.count ?? 1) + 1, lastObservedTime: microTime(nowMs()) } };
      const repeated = await client
        .patch<Recorded>(EVENTS, before.metadata.name ?? '', namespace, patch)
        .catch(() => undefined);
      if (repeated !== undefined) return void recent.set(key, repeated);
    }
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${process.hrtime.bigint().toString(16)}`, namespace },
      involvedObject: referenceTo(about),
      reason,
      message,
      type,
      reportingComponent: component,
      ...(form === 'core'
        ? { source: { component }, firstTimestamp: now, lastTimestamp: now, count: 1 }
        : { eventTime: microTime(nowMs()), reportingInstance: component, action: 'Scheduling' }),
    };
    recent.set(key, await client.create<Recorded>(EVENTS, event));
    const oldest = recent.keys().next();
    if (recent.size > REMEMBERED && !oldest.done) recent.delete(oldest.value);
  };

  return {
    record(about, type, reason, message) {
      if (isSpam(about)) return;
      // One after the other, so that a repetition finds the first one. A namespace on its way out refuses events.
      last = last.then(() => write(about, type, reason, message)).catch(() => {});
    },
  };
}

function microTime(atMs: number): string {
  return new Date(atMs).toISOString().replace('Z', '000Z');
}

function referenceTo(about: KubeObject): Record<string, unknown> {
  const { name, namespace, uid, resourceVersion } = about.metadata;
  return { apiVersion: about.apiVersion, kind: about.kind, name, namespace, uid, resourceVersion };
}
