// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { KubeError } from '../../../kube/client.ts';
import { apiVersionOf, CRON_JOBS, JOBS } from '../../../kube/resources.ts';
import { type CronSchedule, parseSchedule } from '../../cron-schedule.ts';
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
import type { Informer } from '../informer.ts';
import type { ObjectReference } from '../objects.ts';
import { controllerOf, enqueueOwners, ownerReferenceTo } from '../ownership.ts';
import { type CronJob, finishOf, type Job } from './job-objects.ts';

const NAME = 'cronjob-controller';
const SCHEDULED_AT = 'batch.kubernetes.io/cronjob-scheduled-timestamp';
/** So many missed times are no delay any more, but a clock that jumped or a schedule that nobody could have kept. */
const MANY_MISSED = 100;

/** Makes a Job whenever the schedule is due; its name follows from the time, so that none is made twice. Keys are CronJobs. */
export function createCronJobController(context: ControllerContext): Controller {
  const cronJobs = context.informers.of<CronJob>(CRON_JOBS);
  const jobs = context.informers.of<Job>(JOBS);
  const queue = createQueue(context, NAME, { backoffMs: { first: 20, cap: 5_000 } });
  const sync = new CronJobSync(context, recorderFor(context, NAME), cronJobs, jobs);
  enqueueChanged(queue, cronJobs);
  enqueueOwners(queue, cronJobs, jobs);

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const cronJob = cronJobs.byKey(key);
      if (cronJob === undefined || cronJob.metadata.deletionTimestamp !== undefined) return;
      try {
        const nextMs = await sync.step(cronJob);
        return nextMs === undefined ? undefined : { afterMs: Math.max(0, nextMs - context.nowMs()) };
      } catch (error) {
        if (isNamespaceTerminating(error)) return undefined;
        throw error;
      }
    },
  };
}

class CronJobSync {
  readonly #context: ControllerContext;
  readonly #events: EventRecorder;
  readonly #cronJobs: Informer<CronJob>;
  readonly #jobs: Informer<Job>;

  constructor(context: ControllerContext, events: EventRecorder, cronJobs: Informer<CronJob>, jobs: Informer<Job>) {
    this.#context = context;
    this.#events = events;
    this.#cronJobs = cronJobs;
    this.#jobs = jobs;
  }

  /** One look at one CronJob. When to look again, in milliseconds since the epoch; undefined: when something happens. */
  async step(cronJob: CronJob): Promise<number | undefined> {
    const own = this.#jobs
      .inNamespace(cronJob.metadata.namespace)
      .filter((job) => controllerOf(job)?.uid === cronJob.metadata.uid);
    this.#reportFinished(cronJob, own);
    await this.#removeHistory(cronJob, own);
    const due = this.#findDue(cronJob);
    const started = due?.timeMs === undefined ? undefined : await this.#start(cronJob, own, due.timeMs);
    await this.#writeStatus(cronJob, started === undefined ? {} : { lastScheduleTime: timestamp(due?.timeMs ?? 0) });
    return due?.nextMs;
  }

  /** The latest time that is due and not done, and the first one that is to come. */
  #findDue(cronJob: CronJob): { timeMs: number | undefined; nextMs: number | undefined } | undefined {
    const { spec, status, metadata } = cronJob;
    if (spec.suspend) return undefined;
    let schedule: CronSchedule;
    try {
      schedule = parseSchedule(spec.schedule, spec.timeZone);
    } catch (error) {
      const message = `unparseable schedule: ${JSON.stringify(spec.schedule)} : ${(error as Error).message}`;
      this.#events.record(cronJob, 'Warning', 'UnparseableSchedule', message);
      return undefined;
    }
    const nowMs = this.#context.nowMs();
    const lastMs = Date.parse(status?.lastScheduleTime ?? metadata.creationTimestamp ?? '');
    const deadlineMs = spec.startingDeadlineSeconds === undefined ? undefined : spec.startingDeadlineSeconds * 1000;
    const sinceMs = deadlineMs === undefined ? lastMs : Math.max(lastMs, nowMs - deadlineMs);
    let timeMs: number | undefined;
    let nextMs = schedule.next(sinceMs);
    for (let missed = 0; nextMs !== undefined && nextMs <= nowMs; missed++) {
      if (missed > MANY_MISSED) {
        const message =
          'too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew';
        this.#events.record(cronJob, 'Warning', 'TooManyMissedTimes', message);
        return { timeMs: latestBefore(schedule, nowMs), nextMs: schedule.next(nowMs) };
      }
      timeMs = nextMs;
      nextMs = schedule.next(nextMs);
    }
    return { timeMs, nextMs };
  }

  /** undefined when it may not start now. */
  async #start(cronJob: CronJob, own: readonly Job[], timeMs: number): Promise<Job | undefined> {
    const active = own.filter((job) => isScheduled(job) && finishOf(job) === undefined);
    const { concurrencyPolicy } = cronJob.spec;
    const name = `${cronJob.metadata.name}-${Math.floor(timeMs / 60_000)}`;
    const known = own.find((job) => job.metadata.name === name);
    if (known !== undefined) return known;
    if (concurrencyPolicy === 'Forbid' && active.length > 0) {
      const message = 'Not starting job because prior execution is running and concurrency policy is Forbid';
      this.#events.record(cronJob, 'Normal', 'JobAlreadyActive', message);
      return undefined;
    }
    if (concurrencyPolicy === 'Replace') for (const job of active) await this.#remove(cronJob, job);
    try {
      const created = await this.#context.client.create(JOBS, buildJob(cronJob, name, timeMs));
      await this.#jobs.echo(created);
      this.#events.record(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${name}`);
      return created;
    } catch (error) {
      if (isNamespaceTerminating(error)) throw error;
      if (error instanceof KubeError && error.reason === 'AlreadyExists') {
        const existing = await this.#context.client.get<Job>(JOBS, name, cronJob.metadata.namespace);
        if (existing && controllerOf(existing)?.uid === cronJob.metadata.uid) return existing;
      }
      this.#events.record(cronJob, 'Warning', 'FailedCreate', `Error creating job: ${(error as Error).message}`);
      throw error;
    }
  }

  #reportFinished(cronJob: CronJob, own: readonly Job[]): void {
    for (const { uid, name } of cronJob.status?.active ?? []) {
      const job = own.find(({ metadata }) => metadata.uid === uid);
      const finish = job && finishOf(job);
      if (finish === undefined) continue;
      const message = `Saw completed job: ${name}, condition: ${finish.type}`;
      this.#events.record(cronJob, 'Normal', 'SawCompletedJob', message);
    }
  }

  /** The oldest finished Jobs beyond the limits. */
  async #removeHistory(cronJob: CronJob, own: readonly Job[]): Promise<void> {
    const { successfulJobsHistoryLimit = 3, failedJobsHistoryLimit = 1 } = cronJob.spec;
    const limits = { Complete: successfulJobsHistoryLimit, Failed: failedJobsHistoryLimit };
    for (const [type, limit] of Object.entries(limits)) {
      const finished = own
        .filter((job) => finishOf(job)?.type === type && job.metadata.deletionTimestamp === undefined)
        .sort((a, b) => startOf(a).localeCompare(startOf(b)));
      for (const job of finished.slice(0, Math.max(0, finished.length - limit))) await this.#remove(cronJob, job);
    }
  }

  async #remove(cronJob: CronJob, job: Job): Promise<void> {
    const { name = '', namespace, uid } = job.metadata;
    await this.#context.client.delete(JOBS, name, namespace, { propagation: 'Background', ...(uid ? { uid } : {}) });
    this.#events.record(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${name}`);
    await this.#jobs.echoDelete(job);
  }

  async #writeStatus(cronJob: CronJob, added: { lastScheduleTime?: string }): Promise<void> {
    const own = this.#jobs
      .inNamespace(cronJob.metadata.namespace)
      .filter((job) => controllerOf(job)?.uid === cronJob.metadata.uid);
    const active = own
      .filter((job) => isScheduled(job) && finishOf(job) === undefined && job.metadata.deletionTimestamp === undefined)
      .sort((a, b) => startOf(a).localeCompare(startOf(b)))
      .map(referenceTo);
    const successes = own.flatMap(({ status }) => status?.completionTime ?? []);
    const lastSuccessfulTime = [cronJob.status?.lastSuccessfulTime ?? '', ...successes].sort().at(-1);
    const { active: _before, ...rest } = cronJob.status ?? {};
    const status = {
      ...rest,
      ...added,
      ...(lastSuccessfulTime ? { lastSuccessfulTime } : {}),
      ...(active.length > 0 ? { active } : {}),
    };
    if (isDeepStrictEqual(status, cronJob.status ?? {})) return;
    await this.#cronJobs.echo(await this.#context.client.replaceStatus(CRON_JOBS, { ...cronJob, status }));
  }
}

/** The latest due time of the last minute, hour, day or month: walking through all that were missed would take long. */
function latestBefore(schedule: CronSchedule, nowMs: number): number | undefined {
  for (const backMs of [60_000, 3_600_000, 86_400_000, 31 * 86_400_000]) {
    let found: number | undefined;
    for (let time = schedule.next(nowMs - backMs); time !== undefined && time <= nowMs; time = schedule.next(time)) {
      found = time;
    }
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Made by the schedule, not by `kubectl create job --from`. */
function isScheduled({ metadata }: Job): boolean {
  return metadata.annotations?.[SCHEDULED_AT] !== undefined;
}

function startOf({ status, metadata }: Job): string {
  return status?.startTime ?? metadata.creationTimestamp ?? '';
}

function referenceTo({ metadata }: Job): ObjectReference & { apiVersion: string; resourceVersion?: string } {
  const { name = '', namespace = '', uid = '' } = metadata;
  return { kind: JOBS.kind, namespace, name, uid, apiVersion: apiVersionOf(JOBS) };
}

function buildJob(cronJob: CronJob, name: string, timeMs: number): Job {
  const { metadata, spec } = cronJob.spec.jobTemplate;
  return {
    apiVersion: apiVersionOf(JOBS),
    kind: JOBS.kind,
    metadata: {
      name,
      namespace: cronJob.metadata.namespace ?? '',
      ...(metadata?.labels ? { labels: metadata.labels } : {}),
      annotations: { ...metadata?.annotations, [SCHEDULED_AT]: timestamp(timeMs) },
      ownerReferences: [ownerReferenceTo(CRON_JOBS, cronJob)],
    },
    spec,
  };
}
