// SPDX-License-Identifier: Apache-2.0
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { DEPLOYMENTS, EVENTS, PODS, REPLICA_SETS } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { Deployment, Pod, ReplicaSet } from '../../src/sandbox/controllers/objects.ts';
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

function web(spec: Partial<Deployment['spec']> = {}, image = 'example/web:1'): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace, labels: { app: 'web' } },
    spec: {
      replicas: 2,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'main', image } as never] } },
      ...spec,
    },
  };
}

const podsNow = async () => (await cluster.client.list<Pod>(PODS, { namespace })).items;
const replicaSetsNow = async () => (await cluster.client.list<ReplicaSet>(REPLICA_SETS, { namespace })).items;
const deploymentNow = async () => await cluster.client.get<Deployment>(DEPLOYMENTS, 'web', namespace);
const setImage = (image: string) =>
  cluster.client.patch(
    DEPLOYMENTS,
    'web',
    namespace,
    { spec: { template: { spec: { containers: [{ name: 'main', image }] } } } },
    { kind: 'strategic' },
  );
const messages = async (reason: string, kind: string): Promise<string[]> =>
  (await cluster.client.list(EVENTS, { namespace })).items
    .filter((event) => event['reason'] === reason && (event['involvedObject'] as KubeObject).kind === kind)
    .map((event) => String(event['message']));

/** Fails the assertion with the object at hand, so that a wrong status is seen. */
async function completed(revision: number): Promise<Deployment> {
  return await eventually(async () => {
    const deployment = await deploymentNow();
    expect(deployment?.metadata.annotations?.['deployment.kubernetes.io/revision']).toBe(String(revision));
    const replicas = deployment?.spec.replicas;
    expect(deployment?.status).toMatchObject({
      observedGeneration: deployment?.metadata.generation,
      replicas,
      updatedReplicas: replicas,
      readyReplicas: replicas,
      availableReplicas: replicas,
    });
    return deployment;
  });
}

describe('by hand', () => {
  test('a Deployment has its pods at once; its status and events are those of the real controller', async () => {
    await cluster.client.create(DEPLOYMENTS, web());
    const created = await eventually(async () => {
      const pods = await podsNow();
      return pods.length === 2 ? pods : undefined;
    });
    const [replicaSet] = await replicaSetsNow();
    const hash = replicaSet?.metadata.labels?.['pod-template-hash'] ?? '';
    expect(hash).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{5,10}$/);
    expect(replicaSet).toMatchObject({
      metadata: {
        name: `web-${hash}`,
        labels: { app: 'web', 'pod-template-hash': hash },
        annotations: {
          'deployment.kubernetes.io/desired-replicas': '2',
          'deployment.kubernetes.io/max-replicas': '3',
          'deployment.kubernetes.io/revision': '1',
        },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web', controller: true, blockOwnerDeletion: true },
        ],
      },
      spec: { replicas: 2, selector: { matchLabels: { app: 'web', 'pod-template-hash': hash } } },
    });
    for (const pod of created) {
      expect(pod).toMatchObject({
        metadata: {
          generateName: `web-${hash}-`,
          labels: { app: 'web', 'pod-template-hash': hash },
          ownerReferences: [
            {
              apiVersion: 'apps/v1',
              kind: 'ReplicaSet',
              name: `web-${hash}`,
              controller: true,
              blockOwnerDeletion: true,
            },
          ],
        },
      });
    }
    await eventually(
      async () =>
        expect((await deploymentNow())?.status).toEqual({
          observedGeneration: 1,
          replicas: 2,
          updatedReplicas: 2,
          unavailableReplicas: 2,
          terminatingReplicas: 0,
          conditions: [
            expect.objectContaining({
              type: 'Available',
              status: 'False',
              reason: 'MinimumReplicasUnavailable',
              message: 'Deployment does not have minimum availability.',
            }),
            expect.objectContaining({
              type: 'Progressing',
              status: 'True',
              reason: 'ReplicaSetUpdated',
              message: `ReplicaSet "web-${hash}" is progressing.`,
            }),
          ],
        }) ?? true,
    );
    for (const [index, pod] of created.entries()) await setReady(cluster.client, pod, `10.1.9.${index}`);
    const complete = await completed(1);
    expect(complete.status).toEqual({
      observedGeneration: 1,
      replicas: 2,
      updatedReplicas: 2,
      readyReplicas: 2,
      availableReplicas: 2,
      terminatingReplicas: 0,
      conditions: [
        expect.objectContaining({
          type: 'Available',
          status: 'True',
          reason: 'MinimumReplicasAvailable',
          message: 'Deployment has minimum availability.',
        }),
        expect.objectContaining({
          type: 'Progressing',
          status: 'True',
          reason: 'NewReplicaSetAvailable',
          message: `ReplicaSet "web-${hash}" has successfully progressed.`,
        }),
      ],
    });
    await eventually(async () => {
      expect(await messages('ScalingReplicaSet', 'Deployment')).toEqual([
        `Scaled up replica set web-${hash} from 0 to 2`,
      ]);
      const names = created.map(({ metadata }) => `Created pod: ${metadata.name}`).sort();
      expect((await messages('SuccessfulCreate', 'ReplicaSet')).sort()).toEqual(names);
      expect(await messages('Scheduled', 'Pod')).toHaveLength(2);
      return true;
    });
  });

  test('a rollout does not touch the old pods before a new one is ready', async () => {
    await cluster.client.create(DEPLOYMENTS, web());
    const old = await eventually(async () => ((await podsNow()).length === 2 ? await podsNow() : undefined));
    for (const [index, pod] of old.entries()) await setReady(cluster.client, pod, `10.1.8.${index}`);
    await completed(1);
    await setImage('example/web:2');
    const pods = await eventually(async () => ((await podsNow()).length === 3 ? await podsNow() : undefined));
    expect(pods.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)).toEqual([]);
    const sizes = (await replicaSetsNow()).map(({ spec }) => spec.replicas).sort();
    expect(sizes).toEqual([1, 2]);
  });

  test('pods that cannot be created are told of: FailedCreate on the ReplicaSet, ReplicaFailure on the Deployment', async () => {
    const deployment = web();
    deployment.spec.template.spec['serviceAccountName'] = 'nobody';
    await cluster.client.create(DEPLOYMENTS, deployment);
    await eventually(async () => {
      const failed = await messages('FailedCreate', 'ReplicaSet');
      expect(failed.length).toBeGreaterThan(0);
      expect(failed[0]).toMatch(/^Error creating: .*serviceaccount "nobody" not found/);
      expect((await deploymentNow())?.status?.conditions).toContainEqual(
        expect.objectContaining({ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate' }),
      );
      return true;
    });
  });
});

describe('with a kubelet', () => {
  let stopKubelet: () => Promise<void>;
  beforeEach(() => {
    stopKubelet = cluster.playKubelet();
  });
  afterEach(() => stopKubelet());

  test('update, restart and undo: revisions go on counting, old ReplicaSets stay empty, history is limited', async () => {
    await cluster.client.create(DEPLOYMENTS, web({ revisionHistoryLimit: 1 }));
    await completed(1);
    await setImage('example/web:2');
    await completed(2);
    await setImage('example/web:1');
    await completed(3);
    expect(await replicaSetsNow()).toHaveLength(2);
    const back = (await replicaSetsNow()).find(({ spec }) => spec.replicas === 2);
    expect(back?.metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
    const restartedAt = { 'kubectl.kubernetes.io/restartedAt': '2020-01-01T00:00:00Z' };
    await cluster.client.patch(DEPLOYMENTS, 'web', namespace, {
      spec: { template: { metadata: { annotations: restartedAt } } },
    });
    await completed(4);
    await eventually(async () => expect(await replicaSetsNow()).toHaveLength(2) ?? true);
    expect((await podsNow()).every(({ metadata }) => metadata.annotations?.['kubectl.kubernetes.io/restartedAt'])).toBe(
      true,
    );
  });

  test('paused, nothing rolls, but scaling works; resumed, it does', async () => {
    await cluster.client.create(DEPLOYMENTS, web());
    await completed(1);
    await cluster.client.patch(DEPLOYMENTS, 'web', namespace, { spec: { paused: true } });
    await eventually(async () =>
      (await deploymentNow())?.status?.conditions?.some(
        ({ reason, status }) => reason === 'DeploymentPaused' && status === 'Unknown',
      ),
    );
    await setImage('example/web:2');
    await cluster.client.patch(DEPLOYMENTS, 'web', namespace, { spec: { replicas: 3 } });
    await eventually(async () => (await podsNow()).length === 3);
    expect(await replicaSetsNow()).toHaveLength(1);
    await cluster.client.patch(DEPLOYMENTS, 'web', namespace, { spec: { paused: false } });
    await completed(2);
    expect((await podsNow()).map(({ spec }) => (spec.containers[0] as never as { image: string }).image)).toEqual(
      Array(3).fill('example/web:2'),
    );
  });

  test('Recreate: the new pods come only when the old ones are gone', async () => {
    await cluster.client.create(DEPLOYMENTS, web({ strategy: { type: 'Recreate' } }));
    await completed(1);
    await stopKubelet();
    await setImage('example/web:2');
    await eventually(async () => (await podsNow()).every(({ metadata }) => metadata.deletionTimestamp !== undefined));
    expect(await replicaSetsNow()).toHaveLength(1);
    stopKubelet = cluster.playKubelet();
    await completed(2);
  });

  test('scaling down removes the pods least missed; a deleted pod is replaced', async () => {
    await cluster.client.create(DEPLOYMENTS, web({ replicas: 3 }));
    await completed(1);
    const [cheap, ...others] = await podsNow();
    await cluster.client.patch(PODS, cheap?.metadata.name ?? '', namespace, {
      metadata: { annotations: { 'controller.kubernetes.io/pod-deletion-cost': '-10' } },
    });
    await cluster.client.patch(DEPLOYMENTS, 'web', namespace, { spec: { replicas: 2 } }, { subresource: 'scale' });
    await completed(1);
    const namesOf = (pods: readonly Pod[]) => pods.map(({ metadata }) => metadata.name).sort();
    await eventually(async () => expect(namesOf(await podsNow())).toEqual(namesOf(others)) ?? true);
    await cluster.client.delete(PODS, others[0]?.metadata.name ?? '', namespace);
    await eventually(
      async () => (await podsNow()).length === 2 && !namesOf(await podsNow()).includes(others[0]?.metadata.name),
    );
  });

  test('deleting it: background takes all, orphan leaves all, and a new Deployment adopts what was left', async () => {
    await cluster.client.create(DEPLOYMENTS, web());
    await completed(1);
    const before = (await podsNow()).map(({ metadata }) => metadata.uid).sort();
    await cluster.client.delete(DEPLOYMENTS, 'web', namespace, { propagation: 'Orphan' });
    await eventually(async () => (await deploymentNow()) === undefined);
    expect((await replicaSetsNow()).map(({ metadata }) => metadata.ownerReferences)).toEqual([undefined]);
    await cluster.client.create(DEPLOYMENTS, web());
    await completed(1);
    expect((await podsNow()).map(({ metadata }) => metadata.uid).sort()).toEqual(before);
    await cluster.client.delete(DEPLOYMENTS, 'web', namespace, { propagation: 'Foreground' });
    await eventually(async () => (await deploymentNow()) === undefined);
    expect(await podsNow()).toEqual([]);
    expect(await replicaSetsNow()).toEqual([]);
    await cluster.client.create(DEPLOYMENTS, web());
    await completed(1);
    await cluster.client.delete(DEPLOYMENTS, 'web', namespace, { propagation: 'Background' });
    await eventually(async () => (await podsNow()).length + (await replicaSetsNow()).length === 0);
  });
});
