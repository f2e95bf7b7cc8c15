// SPDX-License-Identifier: Apache-2.0
// What a failed pod means for its Job. Pure.
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#handling-pod-and-container-failures

import type { ContainerStatus, Pod } from '../objects.ts';
import type { FailureRule, Job } from './job-objects.ts';

/** `message` says which rule, for the action FailJob. */
export interface Verdict {
  readonly action: 'Count' | 'Ignore' | 'FailJob' | 'FailIndex';
  readonly message: string;
}

const FIRST_BACKOFF_MS = 10_000;
const MAX_BACKOFF_MS = 600_000;

/** By the first rule of the Job's podFailurePolicy that matches; without one the failure counts. */
export function judgeFailure({ spec }: Job, pod: Pod): Verdict {
  for (const [index, rule] of (spec.podFailurePolicy?.rules ?? []).entries()) {
    const why = matchOf(rule, pod);
    if (why === undefined) continue;
    const action = rule.action as Verdict['action'];
    return { action, message: `${why} matching ${rule.action} rule at index ${index}` };
  }
  return { action: 'Count', message: '' };
}

function matchOf({ onExitCodes, onPodConditions }: FailureRule, pod: Pod): string | undefined {
  const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
  if (onExitCodes !== undefined) {
    const { containerName, operator, values } = onExitCodes;
    const match = statusesOf(pod).find(({ name: container, state }) => {
      const exitCode = state?.terminated?.exitCode ?? 0;
      if (exitCode === 0 || (containerName && container !== containerName)) return false;
      return values.includes(exitCode) === (operator === 'In');
    });
    const exitCode = match?.state?.terminated?.exitCode;
    return match && `Container ${match.name} for pod ${name} failed with exit code ${exitCode}`;
  }
  const condition = onPodConditions?.find(({ type, status = 'True' }) =>
    pod.status?.conditions?.some((each) => each.type === type && each.status === status),
  );
  return condition && `Pod ${name} has condition ${condition.type}`;
}

function statusesOf({ status }: Pod): ContainerStatus[] {
  return [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])];
}

/** With restartPolicy OnFailure pods do not fail, they restart: then it is their restarts that count. */
export function restartsExceed(job: Job, active: readonly Pod[]): boolean {
  if (job.spec.template.spec.restartPolicy !== 'OnFailure') return false;
  const restarts = active
    .flatMap((pod) => statusesOf(pod))
    .reduce((sum, { restartCount = 0 }) => sum + restartCount, 0);
  const limit = job.spec.backoffLimit ?? 6;
  return limit === 0 ? restarts > 0 : restarts >= limit;
}

/** Milliseconds until the next pod may be made: 10 s after a failure, doubled for each further one since a success. */
export function backoffMs(finished: readonly Pod[], nowMs: number): number {
  const newestFirst = finished
    .map((pod) => ({ isFailed: pod.status?.phase !== 'Succeeded', atMs: finishedAtMs(pod) }))
    .sort((a, b) => b.atMs - a.atMs);
  const firstSuccess = newestFirst.findIndex(({ isFailed }) => !isFailed);
  const failures = firstSuccess === -1 ? newestFirst.length : firstSuccess;
  const last = newestFirst[0];
  if (last === undefined || failures === 0) return 0;
  const pauseMs = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures - 1, 20));
  return Math.max(0, last.atMs + pauseMs - nowMs);
}

/** When the last container ended; for a pod that never ran, when it was given up. */
function finishedAtMs(pod: Pod): number {
  const ends = statusesOf(pod).map(({ state }) => Date.parse(state?.terminated?.finishedAt ?? '') || 0);
  const last = Math.max(0, ...ends);
  if (last > 0) return last;
  const changes = (pod.status?.conditions ?? []).map(
    ({ lastTransitionTime }) => Date.parse(lastTransitionTime ?? '') || 0,
  );
  return Math.max(
    Date.parse(pod.metadata.creationTimestamp ?? '') || 0,
    Date.parse(pod.metadata.deletionTimestamp ?? '') || 0,
    ...changes,
  );
}
