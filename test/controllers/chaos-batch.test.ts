// SPDX-License-Identifier: Apache-2.0
// Jobs and StatefulSets through crashes: controllers and API server end at any moment, pods end in every way, users
// change their minds. Never are there two pods of one ordinal, never more successes than asked for, and in the end
// everything is as it was asked for.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeError } from '../../src/kube/client.ts';
import { JOBS, PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS } from '../../src/kube/resources.ts';
import { watchResource } from '../../src/kube/watch.ts';
import { finishOf, type Job } from '../../src/sandbox/controllers/jobs/job-objects.ts';
import type { Pod } from '../../src/sandbox/controllers/objects.ts';
import { controllerOf } from '../../src/sandbox/controllers/ownership.ts';
import type { StatefulSet } from '../../src/sandbox/controllers/workloads/workload-objects.ts';
import { rounds } from '../fixture/counts.ts';
import { seeded } from '../fixture/random.ts';
import { eventually } from '../fixture/waiting.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const OPERATIONS = rounds(80);
const SETS = ['ordered', 'parallel'];
const JOBS_WANTED = { plain: { completions: 12, parallelism: 4 }, indexed: { completions: 9, parallelism: 3 } };

let cluster: TestCluster;
let namespace: string;
beforeAll(async () => {
  cluster = await startCluster();
  namespace = await cluster.namespace();
});
afterAll(() => cluster?.close());

const random = seeded(11);
const below = (limit: number) => Math.floor(random() * limit);
const pick = <T>(list: readonly T[]): T | undefined => list[below(list.length)];
const container = () => ({ name: 'main', image: `example/app:${below(3)}` });

function statefulSet(name: string): StatefulSet {
  const labels = { app: name };
  const data = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
  };
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name, namespace },
    spec: {
      replicas: 3,
      serviceName: name,
      podManagementPolicy: name === 'parallel' ? 'Parallel' : 'OrderedReady',
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container()] } },
      volumeClaimTemplates: [data],
    },
  };
}

function job(name: keyof typeof JOBS_WANTED): Job {
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    metadata: { name, namespace },
    spec: {
      ...JOBS_WANTED[name],
      ...(name === 'indexed' ? { completionMode: 'Indexed' } : {}),
      backoffLimit: 1_000,
      template: { spec: { restartPolicy: 'Never', containers: [container() as never] } },
    },
  };
}

const isRefusal = (error: unknown) => error instanceof KubeError && [404, 409, 422].includes(error.code);

/** What a user may well be refused, and what fails while the server is away. */
async function attempt(action: () => Promise<unknown>): Promise<void> {
  await action().catch((error: unknown) => {
    if (error instanceof KubeError && !isRefusal(error)) throw error;
  });
}

/** Uids of the pods of a Job that succeeded, and of those that were deleted: a deleted pod is replaced, whatever came of it. */
interface Ends {
  readonly succeeded: Set<string>;
  readonly deleted: Set<string>;
}

/**
 * The pods of Jobs end by themselves, well or badly; those of sets become ready; deleted ones go. Notes on the way what
 * must never be.
 */
function playKubelet(violations: string[], ends: ReadonlyMap<string, Ends>): () => Promise<void> {
  const stopping = new AbortController();
  const present = new Map<string, string>();
  let count = 0;
  /** As a kubelet does, until the server has it or does not want it; false in the latter case. */
  const write = async (pod: Pod, status: unknown): Promise<boolean> => {
    const { name = '', uid } = pod.metadata;
    while (!stopping.signal.aborted) {
      try {
        await cluster.client.patch(PODS, name, namespace, { metadata: { uid }, status }, { subresource: 'status' });
        return true;
      } catch (error) {
        if (isRefusal(error)) return false;
        await sleep(50);
      }
    }
    return false;
  };
  const live = async (pod: Pod): Promise<void> => {
    const { name = '', uid = '', deletionTimestamp } = pod.metadata;
    const owner = controllerOf(pod);
    const known = present.get(name);
    if (known !== undefined && known !== uid) violations.push(`two pods called ${name}`);
    present.set(name, uid);
    if (deletionTimestamp !== undefined) {
      ends.get(owner?.name ?? '')?.deleted.add(uid);
      await attempt(() => cluster.client.delete(PODS, name, namespace, { gracePeriodSeconds: 0, uid }));
    } else if (!pod.spec.nodeName || pod.status?.phase !== 'Pending') {
      return;
    } else if (owner?.kind === 'Job') {
      // A failure is from long ago, so that nobody waits ten seconds after it.
      const state = { terminated: { exitCode: 1, finishedAt: '2020-01-01T00:00:00Z' } };
      const failed = [{ name: 'main', ready: false, restartCount: 0, image: '', imageID: '', state }];
      const isFailure = random() < 0.2;
      const isWritten = await write(
        pod,
        isFailure ? { phase: 'Failed', containerStatuses: failed } : { phase: 'Succeeded' },
      );
      if (isWritten && !isFailure) ends.get(owner.name)?.succeeded.add(uid);
    } else {
      const ip = `10.1.${count >> 8}.${count++ & 255}`;
      const time = new Date().toISOString().replace(/\.\d+/, '');
      const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: time }];
      await write(pod, { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions });
    }
  };
  const ended = watchResource<Pod>(
    cluster.client,
    PODS,
    { namespace, signal: stopping.signal },
    {
      upsert: (pod) => void live(pod).catch(() => {}),
      delete: (pod) => void present.delete(pod.metadata.name ?? ''),
      synced: () => {},
    },
  );
  return async () => {
    stopping.abort();
    await ended;
  };
}

async function act(): Promise<void> {
  const { client } = cluster;
  const dice = random();
  const set = pick(SETS) ?? '';
  const patch = (spec: unknown) => client.patch(STATEFUL_SETS, set, namespace, { spec }, { kind: 'strategic' });
  if (dice < 0.15) await patch({ replicas: below(6) });
  else if (dice < 0.3) await patch({ template: { spec: { containers: [container()] } } });
  else if (dice < 0.5) {
    const victim = pick((await client.list(PODS, { namespace })).items);
    if (victim) await client.delete(PODS, victim.metadata.name ?? '', namespace);
  } else if (dice < 0.6) {
    const parallelism = 1 + below(5);
    await client.patch(JOBS, pick(Object.keys(JOBS_WANTED)) ?? '', namespace, { spec: { parallelism } });
  } else if (dice < 0.72) await cluster.restartControllers();
  else if (dice < 0.78) await cluster.restartServer();
  else await sleep(random() * 60);
}

async function expectRest(): Promise<true> {
  const { client } = cluster;
  const pods = (await client.list<Pod>(PODS, { namespace })).items;
  for (const name of SETS) {
    const set = await client.get<StatefulSet>(STATEFUL_SETS, name, namespace);
    const own = pods.filter((pod) => controllerOf(pod)?.uid === set?.metadata.uid);
    expect(own.map(({ metadata }) => metadata.name).sort()).toEqual([0, 1, 2].map((ordinal) => `${name}-${ordinal}`));
    expect(set?.status).toMatchObject({
      observedGeneration: set?.metadata.generation,
      replicas: 3,
      readyReplicas: 3,
      updatedReplicas: 3,
      currentRevision: set?.status?.updateRevision,
    });
  }
  for (const name of Object.keys(JOBS_WANTED)) {
    const finished = await client.get<Job>(JOBS, name, namespace);
    expect([name, finished && finishOf(finished)?.type]).toEqual([name, 'Complete']);
  }
  expect(pods.flatMap(({ metadata }) => metadata.finalizers ?? [])).toEqual([]);
  return true;
}

test(
  `${OPERATIONS} operations, with restarts of the controllers and of the API server among them`,
  async () => {
    const violations: string[] = [];
    const ends = new Map(
      Object.keys(JOBS_WANTED).map((name) => [name, { succeeded: new Set<string>(), deleted: new Set<string>() }]),
    );
    const stopKubelet = playKubelet(violations, ends);
    for (const name of SETS) await cluster.client.create(STATEFUL_SETS, statefulSet(name));
    for (const name of ['plain', 'indexed'] as const) await cluster.client.create(JOBS, job(name));
    for (let step = 0; step < OPERATIONS; step++) await attempt(act);
    for (const name of SETS) await cluster.client.patch(STATEFUL_SETS, name, namespace, { spec: { replicas: 3 } });
    await eventually(expectRest, 60_000);
    await stopKubelet();
    expect(violations).toEqual([]);
    // As many as were asked for were counted; of the pods that nobody deleted, no more than that succeeded.
    for (const [name, { completions }] of Object.entries(JOBS_WANTED)) {
      const counted = (await cluster.client.get<Job>(JOBS, name, namespace))?.status?.succeeded;
      expect([name, counted]).toEqual([name, completions]);
      const { succeeded = new Set(), deleted = new Set() } = ends.get(name) ?? {};
      expect(succeeded.size, name).toBeGreaterThanOrEqual(completions);
      expect([...succeeded].filter((uid) => !deleted.has(uid)).length, name).toBeLessThanOrEqual(completions);
    }
    const claims = (await cluster.client.list(PERSISTENT_VOLUME_CLAIMS, { namespace })).items;
    expect(new Set(claims.map(({ status }) => (status as { phase: string }).phase))).toEqual(new Set(['Bound']));
  },
  180_000 * rounds(1),
);
