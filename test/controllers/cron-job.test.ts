// SPDX-License-Identifier: Apache-2.0
// CronJobs with a clock that the test sets, beside the real API server; a Job ends when the test says so.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { CRON_JOBS, EVENTS, JOBS } from '../../src/kube/resources.ts';
import { createCronJobController } from '../../src/sandbox/controllers/jobs/cron-job.ts';
import type { CronJob, Job } from '../../src/sandbox/controllers/jobs/job-objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { runBeside, startCluster, type TestCluster } from './cluster.ts';

const MINUTE_MS = 60_000;

let cluster: TestCluster;
let namespace: string;
/** Of the CronJob controller: begins at the next full minute of the machine's. */
let nowMs: number;
let stop: () => Promise<void>;
beforeAll(async () => {
  cluster = await startCluster({ without: ['cronjob-controller'] });
});
afterAll(() => cluster?.close());
beforeEach(async () => {
  namespace = await cluster.namespace();
  nowMs = (Math.floor(Date.now() / MINUTE_MS) + 1) * MINUTE_MS;
});
afterEach(() => stop());

const container = { name: 'main', image: 'example/work:1' };
/** Creates it, and starts the controller with its clock there. */
async function begin(spec: Partial<CronJob['spec']> = {}): Promise<void> {
  await cluster.client.create<CronJob>(CRON_JOBS, {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    metadata: { name: 'tick', namespace },
    spec: {
      schedule: '* * * * *',
      jobTemplate: {
        metadata: { labels: { from: 'tick' } },
        spec: { suspend: true, template: { spec: { restartPolicy: 'Never', containers: [container as never] } } },
      },
      ...spec,
    },
  });
  stop = await runBeside(cluster, (context) => createCronJobController({ ...context, nowMs: () => nowMs }));
}
const change = (spec: unknown) => cluster.client.patch(CRON_JOBS, 'tick', namespace, { spec });
/** Time passes; the change of a label makes the controller look. */
async function pass(minutes: number): Promise<void> {
  nowMs += minutes * MINUTE_MS;
  await cluster.client.patch(CRON_JOBS, 'tick', namespace, { metadata: { labels: { now: String(nowMs) } } });
}
const nameAt = (ms: number) => `tick-${Math.floor(ms / MINUTE_MS)}`;
const jobNames = async () =>
  (await cluster.client.list(JOBS, { namespace })).items.map(({ metadata }) => metadata.name).sort();
const cronJobNow = async () => (await cluster.client.get<CronJob>(CRON_JOBS, 'tick', namespace)) as CronJob;
const jobs = (...names: string[]) => eventually(async () => String(await jobNames()) === String(names.sort()));
async function finish(name: string, type: 'Complete' | 'Failed' = 'Complete'): Promise<void> {
  const time = new Date(nowMs).toISOString().replace(/\.\d+/, '');
  const condition = {
    type,
    status: 'True',
    lastTransitionTime: time,
    lastProbeTime: time,
    reason: 'Test',
    message: '',
  };
  const status = { conditions: [condition], startTime: time, ...(type === 'Complete' ? { completionTime: time } : {}) };
  await eventually(() => cluster.client.patch<Job>(JOBS, name, namespace, { status }, { subresource: 'status' }));
}
const said = (reason: string) =>
  eventually(async () =>
    (await cluster.client.list(EVENTS, { namespace })).items.some((event) => event['reason'] === reason),
  );

test('a Job a minute, named by the time; what is active and when it was stands in the status', async () => {
  await begin();
  const first = nowMs;
  await jobs(nameAt(first));
  const [job] = (await cluster.client.list<Job>(JOBS, { namespace })).items;
  expect(job?.metadata.labels).toMatchObject({ from: 'tick' });
  expect(job?.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp']).toBe(
    new Date(first).toISOString().replace('.000', ''),
  );
  await eventually(async () => {
    const { status } = await cronJobNow();
    expect(status?.active?.map(({ name }) => name)).toEqual([nameAt(first)]);
    expect(Date.parse(status?.lastScheduleTime ?? '')).toBe(first);
    return true;
  });
  await pass(1);
  await jobs(nameAt(first), nameAt(nowMs));
  await finish(nameAt(first));
  await eventually(async () => {
    const { status } = await cronJobNow();
    return status?.active?.length === 1 && status.lastSuccessfulTime !== undefined;
  });
  await said('SawCompletedJob');
});

test('of those that were missed only the latest is made up for, if the deadline allows', async () => {
  await begin({ suspend: true });
  await pass(5);
  await change({ suspend: false });
  await jobs(nameAt(nowMs));
  await change({ suspend: true, schedule: '0 0 * * *', startingDeadlineSeconds: 30 });
  const midnightMs = (Math.floor(nowMs / 86_400_000) + 1) * 86_400_000;
  await pass((midnightMs - nowMs) / MINUTE_MS + 1);
  await change({ suspend: false });
  await eventually(async () => (await cronJobNow()).spec.suspend === false);
  await pass(1);
  expect(await jobNames()).toHaveLength(1);
});

test('Forbid waits for the one that runs; Replace ends it', async () => {
  await begin({ concurrencyPolicy: 'Forbid' });
  const first = nowMs;
  await jobs(nameAt(first));
  await pass(1);
  await said('JobAlreadyActive');
  expect(await jobNames()).toEqual([nameAt(first)]);
  await finish(nameAt(first));
  await jobs(nameAt(first), nameAt(nowMs));
  const second = nowMs;
  await change({ concurrencyPolicy: 'Replace' });
  await pass(1);
  await jobs(nameAt(first), nameAt(nowMs));
  expect(await jobNames()).not.toContain(nameAt(second));
});

test('history: so many of the good, so many of the bad; one made by hand is not of the schedule', async () => {
  await begin({ successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0 });
  const first = nowMs;
  await jobs(nameAt(first));
  await finish(nameAt(first));
  await pass(1);
  const second = nowMs;
  await jobs(nameAt(first), nameAt(second));
  await finish(nameAt(second));
  await jobs(nameAt(second));
  await pass(1);
  await jobs(nameAt(second), nameAt(nowMs));
  await finish(nameAt(nowMs), 'Failed');
  await jobs(nameAt(second));

  const cronJob = await cronJobNow();
  // What kubectl create job --from sends.
  await cluster.client.create<Job>(JOBS, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: {
      name: 'by-hand',
      namespace,
      annotations: { 'cronjob.kubernetes.io/instantiate': 'manual' },
      ownerReferences: [
        { apiVersion: 'batch/v1', kind: 'CronJob', name: 'tick', uid: cronJob.metadata.uid ?? '', controller: true },
      ],
    },
    spec: cronJob.spec.jobTemplate.spec,
  });
  await pass(1);
  await jobs(nameAt(second), nameAt(nowMs), 'by-hand');
  await eventually(async () => (await cronJobNow()).status?.active?.map(({ name }) => name).join() === nameAt(nowMs));
});

test('a schedule that was missed for months is caught up with one Job, and a word about it', async () => {
  await begin({ suspend: true });
  await pass(200_000);
  await change({ suspend: false });
  await said('TooManyMissedTimes');
  await jobs(nameAt(nowMs));
});
