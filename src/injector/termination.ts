// SPDX-License-Identifier: Apache-2.0
// How a pod of the mesh ends without losing a request: docs/decisions/0013-graceful-ends.md.
import type { Container, PodSpec } from './pod.ts';

/** The kubelet's, when the pod does not say. */
const DEFAULT_GRACE_SECONDS = 30;

export function graceSeconds(spec: Pick<PodSpec, 'terminationGracePeriodSeconds'>): number {
  return spec.terminationGracePeriodSeconds ?? DEFAULT_GRACE_SECONDS;
}

/**
 * Containers that would be told to end at the very moment at which the cluster learns that the pod ends are told later:
 * until the clients have learned it too, requests go on coming. One with a preStop of its own knows what it does.
 * @param drainSeconds at most half of the pod's grace period is taken
 */
export function delayTermination(
  containers: readonly Container[],
  drainSeconds: number,
  grace: number,
): readonly Container[] {
  const seconds = Math.min(drainSeconds, Math.floor(grace / 2));
  if (seconds < 1) return containers;
  return containers.map((container) => {
    const lifecycle = container['lifecycle'] as { preStop?: unknown } | undefined;
    if (lifecycle?.preStop !== undefined) return container;
    return { ...container, lifecycle: { ...lifecycle, preStop: { sleep: { seconds } } } };
  });
}
