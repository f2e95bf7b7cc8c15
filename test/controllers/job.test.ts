// SPDX-License-Identifier: Apache-2.0
// Jobs: against the real API server, the test plays the kubelet.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { EVENTS, JOBS, PODS } from '../../src/kube/resources.ts';
import type { Job, JobSpec } from '../../src/sandbox/controllers/jobs/job-objects.ts';
import type { Pod } from '../../src/sandbox/controllers/objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { setReady, startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
let namespace: string;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.close());
beforeEach(async () => {
  namespace = await cluster.namespace();
});

const create = (spec: Omit<JobSpec, 'template'> & { template?: JobSpec['template'] } = {}) =>
  cluster.client.create<Job>(JOBS, {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name: 'work', namespace },
    spec: {
      template: { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'example/work:1' } as never] } },
      ...spec,
    },
  });
const jobNow = async () => (await cluster.client.get<Job>(JOBS, 'work', namespace)) as Job;
const podsNow = async () => (await cluster.client.list<Pod>(PODS, { namespace })).items;
const isRunning = ({ metadata, status }: Pod) =>
  !metadata.deletionTimestamp && !['Succeeded', 'Failed'].includes(status?.phase ?? '');
/** Exactly so many pods that have not ended. */
const running = (count: number) =>
  eventually(async () => {
    const pods = (await podsNow()).filter((pod) => isRunning(pod) && pod.spec.nodeName);
    return pods.length === count ? pods : undefined;
  });
const change = (spec: unknown) => cluster.client.patch(JOBS, 'work', namespace, { spec });
async function end(pod: Pod | undefined, exitCode = 0, more: Record<string, unknown> = {}): Promise<void> {
  const terminated = { exitCode, finishedAt: new Date().toISOString().replace(/\.\d+/, '') };
  const containerStatuses = [
    { name: 'main', ready: false, restartCount: 0, image: '', imageID: '', state: { terminated } },
  ];
  const status = { phase: exitCode === 0 ? 'Succeeded' : 'Failed', containerStatuses, ...more };
  await cluster.client.patch(PODS, pod?.metadata.name ?? '', namespace, { status }, { subresource: 'status' });
}
const status = (expected: Record<string, unknown>) =>
  eventually(async () => {
    expect((await jobNow()).status).toMatchObject(expected);
    return true;
  });
const condition = (type: string, reason: string) =>
  eventually(async () => {
    const found = (await jobNow()).status?.conditions?.find((each) => each.type === type && each.status === 'True');
    expect(found?.reason).toBe(reason);
    return found;
  });
/** Takes the pause of 10 s after a failure away: the pod that failed is from long ago. */
const longAgo = {
  conditions: [],
  containerStatuses: [
    {
      name: 'main',
      ready: false,
      restartCount: 0,
      image: '',
      imageID: '',
      state: { terminated: { exitCode: 1, finishedAt: '2020-01-01T00:00:00Z' } },
    },
  ],
};

test('completions and parallelism: never more than asked, and each pod is counted once', async () => {
  await create({ completions: 3, parallelism: 2 });
  const [first, second] = await running(2);
  expect(first?.metadata.labels).toMatchObject({ 'job-name': 'work', 'batch.kubernetes.io/job-name': 'work' });
  expect(first?.metadata.finalizers).toEqual(['batch.kubernetes.io/job-tracking']);
  for (const pod of [first, second]) await setReady(cluster.client, pod as Pod, '10.1.0.1');
  await status({ active: 2, ready: 2 });
  await end(first);
  await status({ succeeded: 1, active: 2 });
  await end(second);
  await status({ succeeded: 2, active: 1 });
  // What was counted stays counted when the pod goes.
  await cluster.client.delete(PODS, first?.metadata.name ?? '', namespace);
  const [third] = await running(1);
  await end(third);
  await condition('Complete', 'CompletionsReached');
  const job = await jobNow();
  expect(job.status).toMatchObject({ succeeded: 3, ready: 0, terminating: 0, uncountedTerminatedPods: {} });
  expect(job.status?.active).toBeUndefined();
  expect(job.status?.completionTime).toBeDefined();
  expect((await podsNow()).flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
  await eventually(async () => {
    const reasons = (await cluster.client.list(EVENTS, { namespace })).items
      .filter((event) => (event['involvedObject'] as { kind: string }).kind === 'Job')
      .map((event) => event['reason']);
    expect(reasons.sort()).toEqual(['Completed', 'SuccessfulCreate', 'SuccessfulCreate', 'SuccessfulCreate']);
    return true;
  });
});

test('a work queue is done when one has succeeded and the others have ended', async () => {
  await create({ parallelism: 2 });
  const [first, second] = await running(2);
  await end(first);
  await status({ succeeded: 1, active: 1 });
  await end(second, 1);
  await condition('Complete', 'CompletionsReached');
  expect((await jobNow()).status).toMatchObject({ succeeded: 1, failed: 1 });
});

test('failures: after a pause another pod, until the limit is reached; then all that runs is ended', async () => {
  await create({ backoffLimit: 1, parallelism: 1, completions: 1 });
  const [first] = await running(1);
  await end(first, 1, longAgo);
  const [second] = await running(1);
  expect(second?.metadata.uid).not.toBe(first?.metadata.uid);
  await status({ failed: 1, active: 1 });
  await end(second, 1);
  await condition('Failed', 'BackoffLimitExceeded');
  expect((await jobNow()).status?.conditions?.map(({ type }) => type)).toEqual(['FailureTarget', 'Failed']);
  expect(await podsNow()).toHaveLength(2);
});

test('the pause after a failure is ten seconds', async () => {
  await create({ completions: 1 });
  const [first] = await running(1);
  await end(first, 1);
  await status({ failed: 1 });
  await change({ activeDeadlineSeconds: 3600 });
  await status({ failed: 1 });
  expect(await podsNow()).toHaveLength(1);
});

test('the deadline ends it', async () => {
  await create({ activeDeadlineSeconds: 1 });
  const [pod] = await running(1);
  await condition('FailureTarget', 'DeadlineExceeded');
  await cluster.client.delete(PODS, pod?.metadata.name ?? '', namespace, { gracePeriodSeconds: 0 });
  await condition('Failed', 'DeadlineExceeded');
});

test('suspended it has no pods and no start; resumed it goes on', async () => {
  await create({ suspend: true });
  await condition('Suspended', 'JobSuspended');
  expect(await podsNow()).toEqual([]);
  expect((await jobNow()).status?.startTime).toBeUndefined();
  await change({ suspend: false });
  const [pod] = await running(1);
  await change({ suspend: true });
  await running(0);
  await cluster.client.delete(PODS, pod?.metadata.name ?? '', namespace, { gracePeriodSeconds: 0 });
  await eventually(async () => (await podsNow()).length === 0);
  await change({ suspend: false });
  await end((await running(1))[0]);
  await condition('Complete', 'CompletionsReached');
});

test('parallelism may change while it runs', async () => {
  await create({ completions: 5, parallelism: 1 });
  await running(1);
  await change({ parallelism: 3 });
  await running(3);
  await change({ parallelism: 0 });
  await running(0);
});

test('a finished Job goes after its time, and takes its pods along', async () => {
  await create({ ttlSecondsAfterFinished: 1 });
  await end((await running(1))[0]);
  await eventually(async () => (await cluster.client.get(JOBS, 'work', namespace)) === undefined);
  await eventually(async () => (await podsNow()).length === 0);
});

test.each(['Background', 'Orphan'] as const)('deleted (%s) it holds no pod back', async (propagation) => {
  await create();
  const [pod] = await running(1);
  await cluster.client.delete(JOBS, 'work', namespace, { propagation });
  await eventually(async () => (await cluster.client.get(JOBS, 'work', namespace)) === undefined);
  await eventually(async () => !(await podsNow()).some(({ metadata }) => metadata.finalizers));
  await cluster.client.delete(PODS, pod?.metadata.name ?? '', namespace, { gracePeriodSeconds: 0 });
  await eventually(async () => (await podsNow()).length === 0);
});

describe('Indexed', () => {
  const indexes = (pods: readonly Pod[]) =>
    pods.map(({ metadata }) => metadata.labels?.['batch.kubernetes.io/job-completion-index']).sort();

  test('one success an index; a failed one is tried again', async () => {
    await create({ completions: 3, parallelism: 3, completionMode: 'Indexed' });
    const pods = await running(3);
    expect(indexes(pods)).toEqual(['0', '1', '2']);
    const of = (index: string) => pods.find((pod) => indexes([pod])[0] === index);
    expect(of('1')?.spec.hostname).toBe('work-1');
    expect(of('1')?.metadata.name).toMatch(/^work-1-\w+$/);
    expect(of('1')?.spec.containers[0]?.env).toMatchObject([{ name: 'JOB_COMPLETION_INDEX' }]);
    await end(of('0'));
    await end(of('2'));
    await status({ completedIndexes: '0,2', succeeded: 2 });
    await end(of('1'), 1, longAgo);
    const [again] = await running(1);
    expect(indexes([again as Pod])).toEqual(['1']);
    await end(again);
    await condition('Complete', 'CompletionsReached');
    expect((await jobNow()).status).toMatchObject({ completedIndexes: '0-2', succeeded: 3, failed: 1 });
  });

  test('a limit an index: those that reached it are given up, the others go on', async () => {
    await create({ completions: 2, parallelism: 2, completionMode: 'Indexed', backoffLimitPerIndex: 0 });
    const pods = await running(2);
    const [bad, good] = [...pods].sort((a, b) => Number(indexes([a])) - Number(indexes([b])));
    await end(bad, 1, longAgo);
    await status({ failedIndexes: '0', failed: 1 });
    await end(good);
    await condition('Failed', 'FailedIndexes');
    expect((await jobNow()).status).toMatchObject({ completedIndexes: '1', failedIndexes: '0' });
  });

  test('a success policy ends it before all have succeeded', async () => {
    await create({
      completions: 2,
      parallelism: 2,
      completionMode: 'Indexed',
      successPolicy: { rules: [{ succeededIndexes: '0' }] },
    });
    const [leader, other] = [...(await running(2))].sort((a, b) => Number(indexes([a])) - Number(indexes([b])));
    await end(leader);
    await condition('SuccessCriteriaMet', 'SuccessPolicy');
    await cluster.client.delete(PODS, other?.metadata.name ?? '', namespace, { gracePeriodSeconds: 0 });
    await condition('Complete', 'SuccessPolicy');
  });
});

describe('podFailurePolicy', () => {
  const rules = [
    { action: 'FailJob', onExitCodes: { operator: 'In', values: [42] } },
    { action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] },
  ];

  test('an exit code ends the Job, and is told', async () => {
    await create({ podFailurePolicy: { rules } });
    const [pod] = await running(1);
    await end(pod, 42);
    const { message } = await condition('Failed', 'PodFailurePolicy');
    expect(message).toBe(
      `Container main for pod ${namespace}/${pod?.metadata.name} failed with exit code 42 matching FailJob rule at index 0`,
    );
  });

  test('a disruption does not count', async () => {
    await create({ podFailurePolicy: { rules }, backoffLimit: 0 });
    const [pod] = await running(1);
    const conditions = [{ type: 'DisruptionTarget', status: 'True' }];
    await end(pod, 1, { ...longAgo, conditions });
    await end((await running(1))[0]);
    await condition('Complete', 'CompletionsReached');
    expect((await jobNow()).status?.failed).toBeUndefined();
  });
});
