// SPDX-License-Identifier: Apache-2.0
// How far a Job is: from its pods and what was counted before to counts. Pure.

import type { Pod } from '../objects.ts';
import { isPodActive, isPodFinished } from '../pod-state.ts';
import { judgeFailure } from './job-failures.ts';
import { parseIndexes } from './job-indexes.ts';
import { INDEX_FAILURES_KEY, INDEX_KEY, type Job, TRACKING_FINALIZER } from './job-objects.ts';

export interface JobProgress {
  readonly active: readonly Pod[];
  readonly terminating: readonly Pod[];
  /** That count, whether freed of the finalizer yet or not. */
  readonly succeeded: number;
  readonly failed: number;
  /** Ended, counted in this look, to be freed of the finalizer once the status says so. */
  readonly toFree: readonly Pod[];
  /** For the status: what is counted for good, and the uids that will be. */
  readonly settled: { readonly succeeded: number; readonly failed: number };
  readonly uncounted: { succeeded?: string[]; failed?: string[] };
  readonly completedIndexes: ReadonlySet<number>;
  readonly failedIndexes: ReadonlySet<number>;
  /** Of indexes that failed and will be tried again: how often they did. */
  readonly indexFailures: ReadonlyMap<number, number>;
  /** By a rule of podFailurePolicy the whole Job fails, and why. */
  readonly failJob: string | undefined;
}

export function isIndexed({ spec }: Job): boolean {
  return spec.completionMode === 'Indexed';
}

export function isTracked({ metadata }: Pod): boolean {
  return (metadata.finalizers ?? []).includes(TRACKING_FINALIZER);
}

export function indexOf({ metadata }: Pod): number | undefined {
  const index = metadata.annotations?.[INDEX_KEY] ?? metadata.labels?.[INDEX_KEY];
  return index === undefined ? undefined : Number(index);
}

/** @param pods all that the Job controls */
export function observeProgress(job: Job, pods: readonly Pod[]): JobProgress {
  const tally = new Tally(job, pods);
  const toFree = pods.filter((pod) => isTracked(pod) && tally.take(pod));
  return {
    active: pods.filter(isPodActive),
    terminating: pods.filter((pod) => pod.metadata.deletionTimestamp !== undefined && !isPodFinished(pod)),
    succeeded: isIndexed(job) ? tally.completed.size : tally.settled.succeeded + tally.succeeded.size,
    failed: tally.settled.failed + tally.failed.size,
    toFree,
    settled: { ...tally.settled, ...(isIndexed(job) ? { succeeded: tally.completed.size } : {}) },
    uncounted: {
      ...(tally.succeeded.size > 0 ? { succeeded: [...tally.succeeded] } : {}),
      ...(tally.failed.size > 0 ? { failed: [...tally.failed] } : {}),
    },
    completedIndexes: tally.completed,
    failedIndexes: tally.failedIndexes,
    indexFailures: tally.indexFailures(pods),
    failJob: tally.failJob,
  };
}

class Tally {
  readonly settled: { succeeded: number; failed: number };
  readonly succeeded = new Set<string>();
  readonly failed = new Set<string>();
  readonly completed: Set<number>;
  readonly failedIndexes: Set<number>;
  failJob: string | undefined;
  readonly #job: Job;

  constructor(job: Job, pods: readonly Pod[]) {
    this.#job = job;
    const { status = {} } = job;
    this.settled = { succeeded: status.succeeded ?? 0, failed: status.failed ?? 0 };
    this.completed = parseIndexes(isIndexed(job) ? status.completedIndexes : '');
    this.failedIndexes = parseIndexes(status.failedIndexes);
    const held = new Set(pods.filter(isTracked).map(({ metadata }) => metadata.uid));
    // Noted before; those that are free by now count for good.
    for (const outcome of ['succeeded', 'failed'] as const) {
      for (const uid of status.uncountedTerminatedPods?.[outcome] ?? []) {
        if (held.has(uid)) this[outcome].add(uid);
        else this.settled[outcome]++;
      }
    }
  }

  /** Counts a pod that has ended. False for one that has not. */
  take(pod: Pod): boolean {
    const { uid = '' } = pod.metadata;
    if (pod.status?.phase === 'Succeeded') {
      const index = indexOf(pod);
      if (!isIndexed(this.#job)) this.succeeded.add(uid);
      else if (index !== undefined && index < (this.#job.spec.completions ?? 0)) this.completed.add(index);
      return true;
    }
    if (!hasFailed(this.#job, pod)) return false;
    if (this.failed.has(uid)) return true;
    const verdict = judgeFailure(this.#job, pod);
    if (verdict.action === 'Ignore') return true;
    if (verdict.action === 'FailJob') this.failJob ??= verdict.message;
    this.failed.add(uid);
    const index = indexOf(pod);
    const perIndex = this.#job.spec.backoffLimitPerIndex;
    if (index !== undefined && perIndex !== undefined && !this.completed.has(index)) {
      if (verdict.action === 'FailIndex' || failuresBefore(pod) + 1 > perIndex) this.failedIndexes.add(index);
    }
    return true;
  }

  indexFailures(pods: readonly Pod[]): Map<number, number> {
    const failures = new Map<number, number>();
    if (this.#job.spec.backoffLimitPerIndex === undefined) return failures;
    for (const pod of pods.filter((each) => hasFailed(this.#job, each))) {
      const index = indexOf(pod);
      if (index === undefined || judgeFailure(this.#job, pod).action === 'Ignore') continue;
      failures.set(index, Math.max(failures.get(index) ?? 0, failuresBefore(pod) + 1));
    }
    return failures;
  }
}

/** Of its index, when it was made. */
function failuresBefore({ metadata }: Pod): number {
  return Number(metadata.annotations?.[INDEX_FAILURES_KEY] ?? 0);
}

/** One that is being deleted counts as failed at once, unless the Job replaces only those that have really ended. */
export function hasFailed({ spec }: Job, pod: Pod): boolean {
  if (pod.status?.phase === 'Failed') return true;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  if (deletionTimestamp === undefined || pod.status?.phase === 'Succeeded') return false;
  // With no grace left nothing but the finalizer holds it: it will not come to a phase of its own.
  return spec.podReplacementPolicy !== 'Failed' || deletionGracePeriodSeconds === 0;
}

/** The message of the first rule of successPolicy that is met. */
export function metSuccessRule({ spec }: Job, completed: ReadonlySet<number>): string | undefined {
  const index = (spec.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    const wanted = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes);
    const met = wanted === undefined ? completed.size : [...wanted].filter((each) => completed.has(each)).length;
    return met >= (succeededCount ?? wanted?.size ?? Number.POSITIVE_INFINITY);
  });
  return index === -1 ? undefined : `Matched rules at index ${index}`;
}

/** The next indexes without a pod, a success or a final failure. */
export function missingIndexes({ spec }: Job, progress: JobProgress, count: number): number[] {
  const busy = new Set(
    [...progress.active, ...(spec.podReplacementPolicy === 'Failed' ? progress.terminating : [])].map(indexOf),
  );
  const indexes: number[] = [];
  for (let index = 0; index < (spec.completions ?? 0) && indexes.length < count; index++) {
    if (busy.has(index) || progress.completedIndexes.has(index) || progress.failedIndexes.has(index)) continue;
    indexes.push(index);
  }
  return indexes;
}
