// SPDX-License-Identifier: Apache-2.0
import type { Pod } from './objects.ts';

export function isPodReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

/** Milliseconds since the epoch at which the pod became ready; undefined while it is not. */
export function readySinceMs(pod: Pod): number | undefined {
  const ready = pod.status?.conditions?.find(({ type, status }) => type === 'Ready' && status === 'True');
  return ready === undefined ? undefined : Date.parse(ready.lastTransitionTime ?? '') || 0;
}

/** Milliseconds until the ready pod has been ready for `minReadySeconds`; 0 when it has; undefined while not ready. */
export function availableInMs(pod: Pod, minReadySeconds: number, nowMs: number): number | undefined {
  const since = readySinceMs(pod);
  if (since === undefined) return undefined;
  return minReadySeconds <= 0 ? 0 : Math.max(0, since + minReadySeconds * 1000 - nowMs);
}

export function isPodFinished(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** Counts towards the replicas of its owner. */
export function isPodActive(pod: Pod): boolean {
  return !isPodFinished(pod) && pod.metadata.deletionTimestamp === undefined;
}
