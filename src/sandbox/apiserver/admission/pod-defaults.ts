// SPDX-License-Identifier: Apache-2.0
// What a cluster's default plug-ins add to pods: tolerations for a while without their node, and a priority.
import type { ClusterObjects } from '../seams.ts';
import { forbidden, type GroupResource } from '../status.ts';
import type { Pod, PodSpec } from './pod-types.ts';

const PODS: GroupResource = { group: '', resource: 'pods' };
const PRIORITY_CLASSES: GroupResource = { group: 'scheduling.k8s.io', resource: 'priorityclasses' };
const AWAY_SECONDS = 300;
const AWAY_TAINTS = ['node.kubernetes.io/not-ready', 'node.kubernetes.io/unreachable'];
const SYSTEM_PRIORITIES: Readonly<Record<string, number>> = {
  'system-cluster-critical': 2_000_000_000,
  'system-node-critical': 2_000_001_000,
};

/** Changes `pod` in place. */
export function addDefaultTolerations({ spec }: Pod): void {
  for (const key of AWAY_TAINTS) {
    if (spec.tolerations?.some((one) => toleratesAway(one, key))) continue;
    const added = { key, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: AWAY_SECONDS };
    spec.tolerations = [...(spec.tolerations ?? []), added];
  }
}

function toleratesAway(toleration: NonNullable<PodSpec['tolerations']>[number], key: string): boolean {
  return (!toleration.key || toleration.key === key) && (!toleration.effect || toleration.effect === 'NoExecute');
}

/** Changes `pod` in place. Throws ApiError 403 for a class that does not exist. */
export function assignPriority(pod: Pod, name: string, objects: ClusterObjects): void {
  const { spec } = pod;
  const className = spec.priorityClassName;
  if (!className) {
    spec.priority = 0;
    spec.preemptionPolicy ??= 'PreemptLowerPriority';
    return;
  }
  const known = objects.resolve(PRIORITY_CLASSES) ? objects.get(PRIORITY_CLASSES, '', className) : undefined;
  const value = (known?.value as number | undefined) ?? SYSTEM_PRIORITIES[className];
  if (value === undefined) throw forbidden(PODS, name, `no PriorityClass with name ${className} was found`);
  spec.priority = value;
  spec.preemptionPolicy ??= (known?.preemptionPolicy as string | undefined) ?? 'PreemptLowerPriority';
}
