// SPDX-License-Identifier: Apache-2.0
// Which pods a controller gives up first when it has too many.
import type { Pod } from '../objects.ts';
import { isPodReady, readySinceMs } from '../pod-state.ts';

const PHASE_RANK: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };

/**
 * Sorted so that the pod least missed comes first: unassigned, then pending, not ready, of lower deletion cost, ready
 * for a shorter time, restarted more often, younger.
 * https://kubernetes.io/docs/concepts/workloads/controllers/replicaset/#scaling-a-replicaset
 */
export function sortVictims(pods: readonly Pod[]): Pod[] {
  return pods
    .map((pod) => ({ pod, rank: rank(pod) }))
    .sort((a, b) => {
      for (const [index, value] of a.rank.entries()) {
        const difference = value - (b.rank[index] ?? 0);
        if (difference !== 0) return difference;
      }
      return 0;
    })
    .map(({ pod }) => pod);
}

function rank(pod: Pod): number[] {
  const restarts = (pod.status?.containerStatuses ?? []).map(({ restartCount }) => restartCount ?? 0);
  return [
    pod.spec.nodeName ? 1 : 0,
    PHASE_RANK[pod.status?.phase ?? 'Pending'] ?? 1,
    isPodReady(pod) ? 1 : 0,
    Number.parseInt(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? '0', 10) || 0,
    -(readySinceMs(pod) ?? 0),
    -Math.max(0, ...restarts),
    -Date.parse(pod.metadata.creationTimestamp ?? ''),
  ];
}
