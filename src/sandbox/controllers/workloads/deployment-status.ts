// SPDX-License-Identifier: Apache-2.0
// What `kubectl rollout status` and `kubectl describe deployment` read.
import { timestamp } from '../controller.ts';
import type { Condition, Deployment, DeploymentStatus, ReplicaSet } from '../objects.ts';
import type { Bounds } from './rollout-plan.ts';

/** Without a deadline (0 in old APIs, the largest int32 after conversion) there is no Progressing condition. */
const NO_DEADLINE = 2 ** 31 - 1;

export interface RolloutState {
  readonly deployment: Deployment;
  readonly fresh: ReplicaSet | undefined;
  readonly all: readonly ReplicaSet[];
  readonly bounds: Bounds;
  /** Conditions so far: of the stored status, plus what this reconcile set. */
  readonly conditions: readonly Condition[];
  readonly nowMs: number;
}

function hasDeadline(deployment: Deployment): boolean {
  const seconds = deployment.spec.progressDeadlineSeconds;
  return seconds !== undefined && seconds !== 0 && seconds !== NO_DEADLINE;
}

/** The status that follows from the ReplicaSets. `recheckInMs`: when the progress deadline would pass. */
export function buildStatus(state: RolloutState): { status: DeploymentStatus; recheckInMs: number | undefined } {
  const { deployment, fresh, all, bounds, nowMs } = state;
  const available = total(all, 'availableReplicas');
  const asked = all.reduce((count, { spec }) => count + (spec.replicas ?? 0), 0);
  const status: DeploymentStatus = {};
  if (deployment.metadata.generation !== undefined) status.observedGeneration = deployment.metadata.generation;
  // Zero is left out, as the Go types have it.
  const put = (
    field: 'replicas' | 'updatedReplicas' | 'readyReplicas' | 'availableReplicas' | 'unavailableReplicas',
    count: number,
  ) => {
    if (count > 0) status[field] = count;
  };
  put('replicas', total(all, 'replicas'));
  put('updatedReplicas', fresh?.status?.replicas ?? 0);
  put('readyReplicas', total(all, 'readyReplicas'));
  put('availableReplicas', available);
  put('unavailableReplicas', Math.max(0, asked - available));
  status.terminatingReplicas = total(all, 'terminatingReplicas');
  if (deployment.status?.collisionCount) status.collisionCount = deployment.status.collisionCount;

  const isAvailable = available >= bounds.desired - bounds.unavailable;
  let conditions = setCondition(
    state.conditions,
    {
      type: 'Available',
      status: isAvailable ? 'True' : 'False',
      reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
      message: isAvailable ? 'Deployment has minimum availability.' : 'Deployment does not have minimum availability.',
    },
    nowMs,
  );
  conditions = reportProgress(state, status, conditions);
  conditions = reportFailure(all, conditions, nowMs);
  if (conditions.length > 0) status.conditions = conditions;
  return { status, recheckInMs: untilDeadline(deployment, conditions, nowMs) };
}

/** Replaces the condition of this type, unless status and reason are as before. */
export function setCondition(conditions: readonly Condition[], condition: Condition, nowMs: number): Condition[] {
  const before = conditions.find(({ type }) => type === condition.type);
  if (before?.status === condition.status && before.reason === condition.reason) return [...conditions];
  const now = timestamp(nowMs);
  const lastTransitionTime = before?.status === condition.status ? (before.lastTransitionTime ?? now) : now;
  const others = conditions.filter(({ type }) => type !== condition.type);
  return [...others, { ...condition, lastUpdateTime: now, lastTransitionTime }];
}

/** A paused Deployment makes no progress, and none is expected of it. */
export function reportPause(deployment: Deployment, conditions: readonly Condition[], nowMs: number): Condition[] {
  const progress = conditions.find(({ type }) => type === 'Progressing');
  if (!hasDeadline(deployment) || progress?.reason === 'ProgressDeadlineExceeded') return [...conditions];
  const wasPaused = progress?.reason === 'DeploymentPaused';
  const isPaused = deployment.spec.paused === true;
  if (wasPaused === isPaused) return [...conditions];
  const [reason, message] = isPaused
    ? ['DeploymentPaused', 'Deployment is paused']
    : ['DeploymentResumed', 'Deployment is resumed'];
  return setCondition(conditions, { type: 'Progressing', status: 'Unknown', reason, message }, nowMs);
}

export function isComplete(deployment: Deployment, status: DeploymentStatus): boolean {
  const desired = deployment.spec.replicas ?? 1;
  return (
    (status.updatedReplicas ?? 0) === desired &&
    (status.replicas ?? 0) === desired &&
    (status.availableReplicas ?? 0) === desired &&
    (status.observedGeneration ?? 0) >= (deployment.metadata.generation ?? 0)
  );
}

function reportProgress(state: RolloutState, status: DeploymentStatus, conditions: Condition[]): Condition[] {
  const { deployment, fresh, nowMs } = state;
  const others = conditions.filter(({ type }) => type !== 'Progressing');
  if (!hasDeadline(deployment)) return others;
  const current = conditions.find(({ type }) => type === 'Progressing');
  if (deployment.spec.paused) return conditions;
  const wasComplete = status.replicas === status.updatedReplicas && current?.reason === 'NewReplicaSetAvailable';
  if (wasComplete) return conditions;
  const subject = fresh ? `ReplicaSet "${fresh.metadata.name}"` : `Deployment "${deployment.metadata.name}"`;
  if (isComplete(deployment, status)) {
    const message = `${subject} has successfully progressed.`;
    return setCondition(
      conditions,
      { type: 'Progressing', status: 'True', reason: 'NewReplicaSetAvailable', message },
      nowMs,
    );
  }
  if (hasMoved(deployment.status ?? {}, status)) {
    const now = timestamp(nowMs);
    const lastTransitionTime = current?.status === 'True' ? (current.lastTransitionTime ?? now) : now;
    const message = `${subject} is progressing.`;
    // Written anew even when only the time differs: it is from here that the deadline counts.
    return [
      ...others,
      {
        type: 'Progressing',
        status: 'True',
        reason: 'ReplicaSetUpdated',
        message,
        lastUpdateTime: now,
        lastTransitionTime,
      },
    ];
  }
  const left = untilDeadline(deployment, conditions, nowMs);
  if (left !== undefined && left <= 0) {
    const message = `${subject} has timed out progressing.`;
    return setCondition(
      conditions,
      { type: 'Progressing', status: 'False', reason: 'ProgressDeadlineExceeded', message },
      nowMs,
    );
  }
  return conditions;
}

function hasMoved(before: DeploymentStatus, after: DeploymentStatus): boolean {
  const old = (status: DeploymentStatus) => (status.replicas ?? 0) - (status.updatedReplicas ?? 0);
  return (
    (after.updatedReplicas ?? 0) > (before.updatedReplicas ?? 0) ||
    old(after) < old(before) ||
    (after.readyReplicas ?? 0) > (before.readyReplicas ?? 0) ||
    (after.availableReplicas ?? 0) > (before.availableReplicas ?? 0)
  );
}

/** undefined when no deadline is running. */
function untilDeadline(deployment: Deployment, conditions: readonly Condition[], nowMs: number): number | undefined {
  const current = conditions.find(({ type }) => type === 'Progressing');
  if (!hasDeadline(deployment) || current === undefined || deployment.spec.paused) return undefined;
  if (current.reason === 'NewReplicaSetAvailable' || current.reason === 'ProgressDeadlineExceeded') return undefined;
  const deadlineMs = (deployment.spec.progressDeadlineSeconds ?? 0) * 1000;
  return Date.parse(current.lastUpdateTime ?? '') + deadlineMs - nowMs;
}

function reportFailure(all: readonly ReplicaSet[], conditions: Condition[], nowMs: number): Condition[] {
  const failures = all.flatMap(({ status }) =>
    (status?.conditions ?? []).filter(({ type }) => type === 'ReplicaFailure'),
  );
  const failure = failures[0];
  if (failure === undefined) return conditions.filter(({ type }) => type !== 'ReplicaFailure');
  const { type, status, reason = '', message = '' } = failure;
  return setCondition(conditions, { type, status, reason, message }, nowMs);
}

function total(
  all: readonly ReplicaSet[],
  field: 'replicas' | 'readyReplicas' | 'availableReplicas' | 'terminatingReplicas',
): number {
  return all.reduce((count, { status }) => count + (status?.[field] ?? 0), 0);
}
