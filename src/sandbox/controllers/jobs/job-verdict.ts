// SPDX-License-Identifier: Apache-2.0
// Whether a Job has come to its end, and to which. Pure.
// https://kubernetes.io/docs/concepts/workloads/controllers/job/#terminal-job-conditions
import { restartsExceed } from './job-failures.ts';
import type { Job, JobCondition } from './job-objects.ts';
import { isIndexed, type JobProgress, metSuccessRule } from './job-progress.ts';

export interface Outcome {
  readonly kind: 'Complete' | 'Failed';
  readonly reason: string;
  readonly message: string;
}

/** Said on the way to the end, while pods still run. */
export const ON_THE_WAY = { Complete: 'SuccessCriteriaMet', Failed: 'FailureTarget' } as const;

/** @param conditions so far: an end that was announced is never taken back */
export function decideOutcome(
  job: Job,
  progress: JobProgress,
  conditions: readonly JobCondition[],
  nowMs: number,
): Outcome | undefined {
  for (const kind of ['Failed', 'Complete'] as const) {
    const announced = conditions.find(({ type, status }) => type === ON_THE_WAY[kind] && status === 'True');
    if (announced) return { kind, reason: announced.reason ?? '', message: announced.message ?? '' };
  }
  return findFailure(job, progress, nowMs) ?? findSuccess(job, progress);
}

function findFailure(job: Job, progress: JobProgress, nowMs: number): Outcome | undefined {
  const { spec, status } = job;
  const failed = (reason: string, message: string): Outcome => ({ kind: 'Failed', reason, message });
  if (progress.failJob !== undefined) return failed('PodFailurePolicy', progress.failJob);
  if (progress.failed > (spec.backoffLimit ?? 6) || restartsExceed(job, progress.active)) {
    return failed('BackoffLimitExceeded', 'Job has reached the specified backoff limit');
  }
  const deadlineMs = deadlineOf(job);
  if (deadlineMs !== undefined && status?.startTime && !spec.suspend && nowMs >= deadlineMs) {
    return failed('DeadlineExceeded', 'Job was active longer than specified deadline');
  }
  if (!isIndexed(job) || spec.backoffLimitPerIndex === undefined) return undefined;
  if (spec.maxFailedIndexes !== undefined && progress.failedIndexes.size > spec.maxFailedIndexes) {
    return failed('MaxFailedIndexesExceeded', 'Job has exceeded the specified maximal number of failed indexes');
  }
  const isOver = progress.failedIndexes.size + progress.completedIndexes.size >= (spec.completions ?? 0);
  return isOver && progress.failedIndexes.size > 0 ? failed('FailedIndexes', 'Job has failed indexes') : undefined;
}

function findSuccess(job: Job, progress: JobProgress): Outcome | undefined {
  const { completions } = job.spec;
  const complete: Outcome = {
    kind: 'Complete',
    reason: 'CompletionsReached',
    message: 'Reached expected number of succeeded pods',
  };
  const rule = isIndexed(job) ? metSuccessRule(job, progress.completedIndexes) : undefined;
  if (rule !== undefined) return { kind: 'Complete', reason: 'SuccessPolicy', message: rule };
  // A work queue: one that succeeds knows that the work is done, the others end by themselves.
  if (completions === undefined) return progress.succeeded > 0 && progress.active.length === 0 ? complete : undefined;
  return progress.succeeded >= completions ? complete : undefined;
}

/** Milliseconds since the epoch; undefined without a deadline. */
export function deadlineOf({ spec, status }: Job): number | undefined {
  if (spec.activeDeadlineSeconds === undefined || status?.startTime === undefined) return undefined;
  return Date.parse(status.startTime) + spec.activeDeadlineSeconds * 1000;
}

/** How many pods should run now. */
export function wantedActive({ spec }: Job, progress: JobProgress): number {
  const { parallelism = 1, completions } = spec;
  if (completions === undefined) return progress.succeeded > 0 ? progress.active.length : parallelism;
  const left = completions - progress.succeeded - progress.failedIndexes.size;
  return Math.max(0, Math.min(parallelism, left));
}
