// SPDX-License-Identifier: Apache-2.0
// What a StatefulSet does next. Pure: from its pods to pods to be made and pods to be deleted.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#deployment-and-scaling-guarantees
import type { Pod } from '../objects.ts';
import { availableInMs, isPodFinished, isPodReady } from '../pod-state.ts';
import { REVISION_LABEL } from './revisions.ts';
import type { StatefulSet, StatefulSetStatus } from './workload-objects.ts';

export interface StatefulPlan {
  /** Ordinals, and whether they get the new template or the one before. */
  readonly create: { ordinal: number; isUpdated: boolean }[];
  readonly remove: Pod[];
  /** When a pod will have been ready for minReadySeconds. */
  recheckInMs?: number;
}

export interface RevisionNames {
  readonly current: string;
  readonly update: string;
}

/** The ordinals that should have a pod: from `start`, `count` of them. */
export function ordinalsOf({ spec }: StatefulSet): { start: number; end: number } {
  const start = spec.ordinals?.start ?? 0;
  return { start, end: start + (spec.replicas ?? 1) };
}

/** undefined for a pod that is not named as one of this set's. */
export function ordinalOf(set: StatefulSet, pod: Pod): number | undefined {
  const prefix = `${set.metadata.name}-`;
  const { name = '' } = pod.metadata;
  const rest = name.slice(prefix.length);
  return name.startsWith(prefix) && /^(0|[1-9]\d*)$/.test(rest) ? Number(rest) : undefined;
}

/** @param pods of this set, each with an ordinal of its own */
export function planStep(
  set: StatefulSet,
  pods: readonly Pod[],
  revisions: RevisionNames,
  nowMs: number,
): StatefulPlan {
  const { start, end } = ordinalsOf(set);
  const isOrdered = set.spec.podManagementPolicy !== 'Parallel';
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(set, pod) ?? -1, pod]));
  const plan: StatefulPlan = { create: [], remove: [] };
  const health = new Health(set, nowMs, plan);

  for (let ordinal = start; ordinal < end; ordinal++) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) plan.create.push({ ordinal, isUpdated: isUpdatedOrdinal(set, ordinal) });
    // One that ended does not start again by itself: it makes room for its successor.
    else if (isPodFinished(pod) && pod.metadata.deletionTimestamp === undefined) plan.remove.push(pod);
    else if (health.isAvailable(pod)) continue;
    if (isOrdered) return plan;
  }

  const surplus = [...byOrdinal].filter(([ordinal]) => ordinal < start || ordinal >= end).sort(([a], [b]) => b - a);
  const firstUnhealthy = [...byOrdinal]
    .sort(([a], [b]) => a - b)
    .map(([, pod]) => pod)
    .find((pod) => !health.isAvailable(pod));
  for (const [, pod] of surplus) {
    const isLeaving = pod.metadata.deletionTimestamp !== undefined;
    const mayLeave = !isOrdered || health.isAvailable(pod) || pod === firstUnhealthy;
    if (!isLeaving && mayLeave) plan.remove.push(pod);
    if (isOrdered) return plan;
  }
  if (plan.create.length > 0 || plan.remove.length > 0 || set.spec.updateStrategy?.type === 'OnDelete') return plan;

  // One at a time, the largest ordinal first, and only while everything above is well.
  const partition = set.spec.updateStrategy?.rollingUpdate?.partition ?? 0;
  for (let ordinal = end - 1; ordinal >= Math.max(start, partition); ordinal--) {
    const pod = byOrdinal.get(ordinal);
    if (pod === undefined) return plan;
    if (revisionOf(pod) !== revisions.update && pod.metadata.deletionTimestamp === undefined) {
      plan.remove.push(pod);
      return plan;
    }
    if (!health.isAvailable(pod)) return plan;
  }
  return plan;
}

/** Below the partition, pods are made from the template that they had before. */
function isUpdatedOrdinal({ spec, status }: StatefulSet, ordinal: number): boolean {
  const { type = 'RollingUpdate', rollingUpdate } = spec.updateStrategy ?? {};
  if (type !== 'RollingUpdate') return true;
  const start = spec.ordinals?.start ?? 0;
  if (rollingUpdate === undefined) return ordinal >= start + (status?.currentReplicas ?? 0);
  return ordinal >= start + (rollingUpdate.partition ?? 0);
}

/** Running, ready, for minReadySeconds, and not on its way out; notes in `plan` when the waiting will be over. */
class Health {
  readonly #minReadySeconds: number;
  readonly #nowMs: number;
  readonly #plan: StatefulPlan;

  constructor(set: StatefulSet, nowMs: number, plan: StatefulPlan) {
    this.#minReadySeconds = set.spec.minReadySeconds ?? 0;
    this.#nowMs = nowMs;
    this.#plan = plan;
  }

  isAvailable(pod: Pod): boolean {
    if (!isRunningAndReady(pod) || pod.metadata.deletionTimestamp !== undefined) return false;
    const waitMs = availableInMs(pod, this.#minReadySeconds, this.#nowMs) ?? 0;
    if (waitMs > 0) this.#plan.recheckInMs = Math.min(this.#plan.recheckInMs ?? waitMs, waitMs);
    return waitMs === 0;
  }
}

function isRunningAndReady(pod: Pod): boolean {
  return pod.status?.phase === 'Running' && isPodReady(pod);
}

export function revisionOf(pod: Pod): string {
  return pod.metadata.labels?.[REVISION_LABEL] ?? '';
}

/** What kubectl and `rollout status` read. @param collisionCount of the revisions' names */
export function buildStatus(
  set: StatefulSet,
  pods: readonly Pod[],
  revisions: RevisionNames,
  collisionCount: number | undefined,
  nowMs: number,
): StatefulSetStatus {
  const staying = pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const ready = pods.filter(isRunningAndReady);
  const available = ready.filter((pod) => availableInMs(pod, set.spec.minReadySeconds ?? 0, nowMs) === 0).length;
  let currentRevision = revisions.current;
  let current = staying.filter((pod) => revisionOf(pod) === currentRevision).length;
  const updated = staying.filter((pod) => revisionOf(pod) === revisions.update).length;
  const isRolling = (set.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate';
  if (isRolling && updated === pods.length && ready.length === pods.length) {
    currentRevision = revisions.update;
    current = updated;
  }
  const { generation } = set.metadata;
  return {
    ...(generation !== undefined ? { observedGeneration: generation } : {}),
    replicas: pods.length,
    // Zero is left out, as the Go types have it.
    ...(ready.length > 0 ? { readyReplicas: ready.length } : {}),
    ...(current > 0 ? { currentReplicas: current } : {}),
    ...(updated > 0 ? { updatedReplicas: updated } : {}),
    currentRevision,
    updateRevision: revisions.update,
    collisionCount: collisionCount ?? 0,
    ...(set.status?.conditions ? { conditions: set.status.conditions } : {}),
    availableReplicas: available,
  };
}
