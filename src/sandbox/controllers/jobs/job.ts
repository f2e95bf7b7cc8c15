// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import { JOBS, PODS } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  isNamespaceTerminating,
  recorderFor,
  timestamp,
} from '../controller.ts';
import type { EventRecorder } from '../event-recorder.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Pod } from '../objects.ts';
import { claimChildren, controllerOf, enqueueOwners } from '../ownership.ts';
import { isPodFinished, isPodReady } from '../pod-state.ts';
import { createPodWrites, inGrowingBatches, type PodWrites } from '../pod-writes.ts';
import { sortVictims } from '../workloads/replica-victims.ts';
import { backoffMs } from './job-failures.ts';
import { formatIndexes } from './job-indexes.ts';
import { finishOf, type Job, type JobCondition, type JobStatus, TRACKING_FINALIZER } from './job-objects.ts';
import { buildJobPod } from './job-pods.ts';
import { hasFailed, isIndexed, isTracked, type JobProgress, missingIndexes, observeProgress } from './job-progress.ts';
import { deadlineOf, decideOutcome, ON_THE_WAY, type Outcome, wantedActive } from './job-verdict.ts';

const NAME = 'job-controller';
const MANAGER = 'kubernetes.io/job-controller';
/** The most pods created in one go. */
const BURST = 500;

/**
 * Runs pods until enough of them have succeeded. A pod carries a finalizer until the status has it noted, so that none
 * is counted twice or lost, whoever dies when. Keys are Jobs.
 */
export function createJobController(context: ControllerContext): Controller {
  const jobs = context.informers.of<Job>(JOBS);
  const pods = context.informers.of<Pod>(PODS);
  const queue = createQueue(context, NAME, { backoffMs: { first: 20, cap: 5_000 } });
  const sync = new JobSync(context, recorderFor(context, NAME), jobs, pods);
  enqueueChanged(queue, jobs);
  enqueueOwners(queue, jobs, pods);

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const job = jobs.byKey(key);
      if (job === undefined || (job.spec.managedBy ?? MANAGER) !== MANAGER) return;
      const finish = finishOf(job);
      const recheckInMs = await (finish ? sync.outlive(job, finish) : sync.step(job));
      return recheckInMs === undefined ? undefined : { afterMs: Math.max(0, recheckInMs) };
    },
  };
}

class JobSync {
  readonly #context: ControllerContext;
  readonly #events: EventRecorder;
  readonly #jobs: Informer<Job>;
  readonly #pods: Informer<Pod>;
  readonly #writes: PodWrites;

  constructor(context: ControllerContext, events: EventRecorder, jobs: Informer<Job>, pods: Informer<Pod>) {
    this.#context = context;
    this.#events = events;
    this.#jobs = jobs;
    this.#pods = pods;
    this.#writes = createPodWrites(context, pods, events);
  }

  /** A finished Job: its last pods are freed, and it goes after its time. */
  async outlive(job: Job, finish: JobCondition): Promise<number | undefined> {
    const { name = '', namespace, uid } = job.metadata;
    const own = this.#pods.inNamespace(namespace).filter((pod) => controllerOf(pod)?.uid === uid);
    await Promise.all(own.filter((pod) => isTracked(pod)).map((pod) => freePod(this.#context, this.#pods, pod)));
    const ttl = job.spec.ttlSecondsAfterFinished;
    if (ttl === undefined || job.metadata.deletionTimestamp !== undefined) return undefined;
    const leftMs = Date.parse(finish.lastTransitionTime ?? '') + ttl * 1000 - this.#context.nowMs();
    if (leftMs > 0) return leftMs;
    await this.#context.client.delete(JOBS, name, namespace, { propagation: 'Foreground', ...(uid ? { uid } : {}) });
    return undefined;
  }

  /** One look at one Job. Milliseconds after which to look again even if nothing happens; undefined: never. */
  async step(job: Job): Promise<number | undefined> {
    const { client, nowMs } = this.#context;
    const own = await claimChildren(client, this.#pods, JOBS, job);
    const isSuspended = job.spec.suspend === true;
    const isDeleting = job.metadata.deletionTimestamp !== undefined;
    const conditions = this.#noteSuspension(job, [...(job.status?.conditions ?? [])]);
    const startTime = isSuspended ? undefined : (job.status?.startTime ?? timestamp(nowMs()));
    const started: Job = { ...job, status: withStart(job.status, startTime) };
    const progress = observeProgress(started, own);
    const outcome = decideOutcome(started, progress, conditions, nowMs());
    let failure: Error | undefined;
    let recheckInMs: number | undefined;
    if (outcome !== undefined || (isSuspended && !isDeleting)) {
      failure = await this.#removeAll(job, progress.active);
    } else if (!isDeleting) {
      ({ failure, recheckInMs } = await this.#manage(job, progress, own));
    }
    const now = this.#pods
      .inNamespace(job.metadata.namespace)
      .filter((pod) => controllerOf(pod)?.uid === job.metadata.uid);
    // As the cache has it after the step: what was created or deleted counts at once.
    const status = this.#buildStatus(started, progress, observeProgress(started, now), now, outcome, conditions);
    if (!isDeepStrictEqual(status, job.status)) {
      await this.#jobs.echo(await client.replaceStatus(JOBS, { ...job, status }));
      this.#reportEnd(job, status);
    }
    // Not before the status is written: what it has noted may go.
    await Promise.all(progress.toFree.map((pod) => freePod(this.#context, this.#pods, pod)));
    if (failure && !isNamespaceTerminating(failure)) throw failure;
    const deadlineMs = isSuspended ? undefined : deadlineOf(started);
    const untilDeadlineMs = deadlineMs === undefined || outcome ? undefined : deadlineMs - nowMs();
    return least(recheckInMs, untilDeadlineMs);
  }

  /** Makes as many pods run as should. */
  async #manage(
    job: Job,
    progress: JobProgress,
    own: readonly Pod[],
  ): Promise<{ failure?: Error | undefined; recheckInMs?: number | undefined }> {
    const wanted = wantedActive(job, progress);
    const { active } = progress;
    if (active.length > wanted) {
      return { failure: await this.#removeAll(job, sortVictims(active).slice(0, active.length - wanted)) };
    }
    const occupied =
      job.spec.podReplacementPolicy === 'Failed' ? active.length + progress.terminating.length : active.length;
    const count = Math.min(BURST, wanted - occupied);
    if (count <= 0) return {};
    const finished = own.filter((pod) => isPodFinished(pod) || hasFailed(job, pod));
    const waitMs = backoffMs(finished, this.#context.nowMs());
    if (waitMs > 0) return { recheckInMs: waitMs };
    const indexes = isIndexed(job) ? missingIndexes(job, progress, count) : Array<undefined>(count).fill(undefined);
    const made = indexes.map((index) => buildJobPod(job, index, progress.indexFailures.get(index ?? -1)));
    return { failure: await inGrowingBatches(made, (pod) => this.#writes.create(job, pod)) };
  }

  async #removeAll(job: Job, pods: readonly Pod[]): Promise<Error | undefined> {
    const failures = await Promise.all(pods.map((pod) => this.#writes.remove(job, pod)));
    return failures.find((failure) => failure !== undefined);
  }

  #buildStatus(
    job: Job,
    progress: JobProgress,
    after: JobProgress,
    pods: readonly Pod[],
    outcome: Outcome | undefined,
    conditions: readonly JobCondition[],
  ): JobStatus {
    const now = timestamp(this.#context.nowMs());
    const { settled, uncounted } = progress;
    const list = [...conditions];
    const add = (type: string, { reason, message }: Outcome): void => {
      if (list.some((each) => each.type === type && each.status === 'True')) return;
      list.push({ type, status: 'True', lastProbeTime: now, lastTransitionTime: now, reason, message });
    };
    if (outcome !== undefined) add(ON_THE_WAY[outcome.kind], outcome);
    // The end is told when nothing runs any more and everything is counted.
    const isOver = outcome !== undefined && !pods.some((pod) => isTracked(pod) || !isPodFinished(pod));
    if (outcome !== undefined && isOver) add(outcome.kind, outcome);
    const { startTime, completionTime } = job.status ?? {};
    const put = (field: 'active' | 'succeeded' | 'failed', count: number) => (count > 0 ? { [field]: count } : {});
    const completed = formatIndexes(progress.completedIndexes);
    return {
      ...(list.length > 0 ? { conditions: list } : {}),
      ...(startTime ? { startTime } : {}),
      ...(completionTime ? { completionTime } : isOver && outcome?.kind === 'Complete' ? { completionTime: now } : {}),
      ...put('active', after.active.length),
      ...put('succeeded', settled.succeeded),
      ...put('failed', settled.failed),
      ...(isIndexed(job) && completed ? { completedIndexes: completed } : {}),
      ...(job.spec.backoffLimitPerIndex === undefined ? {} : { failedIndexes: formatIndexes(progress.failedIndexes) }),
      uncountedTerminatedPods: uncounted,
      ready: after.active.filter(isPodReady).length,
      terminating: after.terminating.length,
    };
  }

  #noteSuspension(job: Job, conditions: JobCondition[]): JobCondition[] {
    const before = conditions.find(({ type }) => type === 'Suspended');
    const isSuspended = job.spec.suspend === true;
    if ((before?.status === 'True') === isSuspended) return conditions;
    const [reason, message] = isSuspended ? ['JobSuspended', 'Job suspended'] : ['JobResumed', 'Job resumed'];
    const now = timestamp(this.#context.nowMs());
    const status = isSuspended ? 'True' : 'False';
    const condition: JobCondition = {
      type: 'Suspended',
      status,
      lastProbeTime: now,
      lastTransitionTime: now,
      reason,
      message,
    };
    this.#events.record(job, 'Normal', isSuspended ? 'Suspended' : 'Resumed', message);
    return [...conditions.filter((each) => each !== before), condition];
  }

  #reportEnd(job: Job, status: JobStatus): void {
    const finish = finishOf({ ...job, status });
    if (finish?.type === 'Complete') this.#events.record(job, 'Normal', 'Completed', 'Job completed');
    else if (finish) this.#events.record(job, 'Warning', finish.reason ?? '', finish.message ?? '');
  }
}

function withStart(status: JobStatus = {}, startTime: string | undefined): JobStatus {
  const { startTime: _before, ...rest } = status;
  return startTime === undefined ? rest : { ...rest, startTime };
}

function least(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

/** Takes the tracking finalizer off: from now on anybody may delete the pod. */
async function freePod(context: ControllerContext, pods: Informer<Pod>, pod: Pod): Promise<void> {
  const { name = '', namespace, uid, resourceVersion, finalizers = [] } = pod.metadata;
  const left = finalizers.filter((each) => each !== TRACKING_FINALIZER);
  const patch = { metadata: { uid, resourceVersion, finalizers: left.length > 0 ? left : null } };
  try {
    await context.client.patch(PODS, name, namespace, patch);
  } catch (error) {
    if (error instanceof KubeError && error.code === 404) return;
    throw error;
  }
  await pods.until(keyOf(pod), (seen) => seen === undefined || seen.metadata.uid !== uid || !isTracked(seen));
}

/** Pods with the finalizer whose Job is gone, or lets them go: nobody else would free them. Keys are pods. */
export function createJobOrphanController(context: ControllerContext): Controller {
  const name = 'job-orphan-controller';
  const jobs = context.informers.of<Job>(JOBS);
  const pods = context.informers.of<Pod>(PODS);
  const queue = createQueue(context, name);
  const hasJob = (pod: Pod): boolean => {
    const controller = controllerOf(pod);
    return (
      controller?.kind === 'Job' && jobs.get(controller.name, pod.metadata.namespace)?.metadata.uid === controller.uid
    );
  };
  pods.onChange((_before, after) => {
    if (after !== undefined && isTracked(after) && !hasJob(after)) queue.add(keyOf(after));
  });
  jobs.onChange((before, after) => {
    if (before === undefined || after !== undefined) return;
    for (const pod of pods.inNamespace(before.metadata.namespace)) if (isTracked(pod)) queue.add(keyOf(pod));
  });

  return {
    name,
    queue,
    async reconcile(key) {
      const pod = pods.byKey(key);
      if (pod === undefined || !isTracked(pod) || hasJob(pod)) return;
      const controller = controllerOf(pod);
      if (controller?.kind === 'Job') {
        // The cache may lag behind: ask.
        const job = await context.client.get<Job>(JOBS, controller.name, pod.metadata.namespace);
        if (job?.metadata.uid === controller.uid) return;
      }
      await freePod(context, pods, pod);
    },
  };
}
