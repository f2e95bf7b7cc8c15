// SPDX-License-Identifier: Apache-2.0
// Ordered pods with names that stay: against the real API server, the test plays the kubelet.
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  CONTROLLER_REVISIONS,
  ENDPOINT_SLICES,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  SERVICES,
  STATEFUL_SETS,
} from '../../src/kube/resources.ts';
import type { EndpointSlice, Pod } from '../../src/sandbox/controllers/objects.ts';
import type { ControllerRevision, StatefulSet } from '../../src/sandbox/controllers/workloads/workload-objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { setReady, startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
let namespace: string;
let stopKubelet: (() => Promise<void>) | undefined;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.close());
beforeEach(async () => {
  namespace = await cluster.namespace();
});
afterEach(async () => {
  await stopKubelet?.();
  stopKubelet = undefined;
});

const containers = (image: string) => [{ name: 'main', image }];

function db(spec: Partial<StatefulSet['spec']> = {}): StatefulSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { name: 'db', namespace },
    spec: {
      replicas: 3,
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      template: { metadata: { labels: { app: 'db' } }, spec: { containers: containers('example/db:1') } },
      ...spec,
    },
  };
}

const create = (set: StatefulSet) => cluster.client.create(STATEFUL_SETS, set);
const change = (spec: unknown) => cluster.client.patch(STATEFUL_SETS, 'db', namespace, { spec }, { kind: 'strategic' });
const setImage = (image: string) => change({ template: { spec: { containers: containers(image) } } });
const podsNow = async () => (await cluster.client.list<Pod>(PODS, { namespace })).items;
const names = async () => (await podsNow()).map(({ metadata }) => metadata.name).sort();
const images = async () =>
  Object.fromEntries((await podsNow()).map((pod) => [pod.metadata.name, (pod.spec.containers[0] as never)['image']]));
const setNow = async () => (await cluster.client.get<StatefulSet>(STATEFUL_SETS, 'db', namespace)) as StatefulSet;
const settled = () =>
  eventually(async () => {
    const { metadata, spec, status } = await setNow();
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      replicas: spec.replicas,
      readyReplicas: spec.replicas,
    });
    return true;
  });
/** The pod of this name, when it is there and not on its way out. */
const present = (name: string) =>
  eventually(async () => {
    const pod = await cluster.client.get<Pod>(PODS, name, namespace);
    return pod?.metadata.deletionTimestamp === undefined ? pod : undefined;
  });
/** Plays the kubelet for one pod whose end was asked for. */
const finish = (name: string) =>
  eventually(async () => {
    const pod = await cluster.client.get<Pod>(PODS, name, namespace);
    expect(pod?.metadata.deletionTimestamp).toBeDefined();
    await cluster.client.delete(PODS, name, namespace, { gracePeriodSeconds: 0 });
    return true;
  });
/** Seen after the controller has acted on what was before: a Service that is made now has its slice. */
async function quiet(): Promise<void> {
  const { status } = await change({ minReadySeconds: 0, revisionHistoryLimit: Math.floor(Math.random() * 1e6) }).then(
    () =>
      eventually(async () => {
        const set = await setNow();
        return set.status?.observedGeneration === set.metadata.generation ? set : undefined;
      }),
  );
  expect(status).toBeDefined();
}

test('pods come one after the other, in order, each when the one before is ready; they go the other way round', async () => {
  await create(db());
  for (const [ordinal, name] of ['db-0', 'db-1', 'db-2'].entries()) {
    const pod = await present(name);
    expect(pod.metadata.labels).toMatchObject({
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
      'controller-revision-hash': expect.stringMatching(/^db-/),
    });
    expect([pod.spec.hostname, pod.spec.subdomain]).toEqual([name, 'db']);
    await quiet();
    expect(await names()).toHaveLength(ordinal + 1);
    await setReady(cluster.client, pod, `10.1.0.${ordinal + 1}`);
  }
  await settled();
  await change({ replicas: 1 });
  await eventually(async () => (await podsNow()).some(({ metadata }) => metadata.deletionTimestamp));
  await quiet();
  expect(
    (await podsNow()).filter(({ metadata }) => metadata.deletionTimestamp).map((pod) => pod.metadata.name),
  ).toEqual(['db-2']);
  await finish('db-2');
  await finish('db-1');
  await settled();
  expect(await names()).toEqual(['db-0']);
});

test('Parallel: all at once, both ways, from the ordinal that the set begins with', async () => {
  await create(db({ podManagementPolicy: 'Parallel', ordinals: { start: 5 } }));
  await eventually(async () => String(await names()) === ['db-5', 'db-6', 'db-7'].join());
  await change({ replicas: 0 });
  await eventually(async () => (await podsNow()).every(({ metadata }) => metadata.deletionTimestamp));
});

test('a headless Service names each pod: EndpointSlices carry the hostname, before readiness too where asked', async () => {
  const spec = { clusterIP: 'None', publishNotReadyAddresses: true, selector: { app: 'db' }, ports: [{ port: 5432 }] };
  await cluster.client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'db', namespace },
    spec,
  });
  await create(db({ replicas: 1 }));
  await setReady(cluster.client, await present('db-0'), '10.1.0.9', false);
  await eventually(async () => {
    const labelSelector = 'kubernetes.io/service-name=db';
    const [slice] = (await cluster.client.list<EndpointSlice>(ENDPOINT_SLICES, { namespace, labelSelector })).items;
    expect(slice?.endpoints).toMatchObject([
      { hostname: 'db-0', addresses: ['10.1.0.9'], conditions: { ready: true, serving: false } },
    ]);
    return true;
  });
});

test('a rolling update goes from the last to the first, stops at the partition, and is undone by its revision', async () => {
  stopKubelet = cluster.playKubelet();
  await create(db());
  await settled();
  await change({ updateStrategy: { rollingUpdate: { partition: 2 } } });
  await setImage('example/db:2');
  await eventually(async () => (await images())['db-2'] === 'example/db:2');
  await settled();
  expect(await images()).toEqual({ 'db-0': 'example/db:1', 'db-1': 'example/db:1', 'db-2': 'example/db:2' });
  const { status } = await setNow();
  expect(status).toMatchObject({ currentReplicas: 2, updatedReplicas: 1 });
  expect(status?.currentRevision).not.toBe(status?.updateRevision);
  // Below the partition a pod comes back as it was.
  const before = await present('db-0');
  await cluster.client.delete(PODS, 'db-0', namespace);
  await eventually(async () => (await present('db-0')).metadata.uid !== before.metadata.uid);
  await settled();
  expect((await images())['db-0']).toBe('example/db:1');

  await change({ updateStrategy: { rollingUpdate: { partition: 0 } } });
  await eventually(async () => {
    const { status: now } = await setNow();
    return now?.currentRevision === now?.updateRevision && now?.updatedReplicas === 3;
  });
  expect(new Set(Object.values(await images()))).toEqual(new Set(['example/db:2']));

  const revisions = async () =>
    (await cluster.client.list<ControllerRevision>(CONTROLLER_REVISIONS, { namespace })).items.sort(
      (a, b) => a.revision - b.revision,
    );
  const [first, second] = await revisions();
  expect([first?.revision, second?.revision]).toEqual([1, 2]);
  // What kubectl rollout undo sends.
  await cluster.client.patch(STATEFUL_SETS, 'db', namespace, first?.data, { kind: 'strategic' });
  await eventually(async () => Object.values(await images()).every((image) => image === 'example/db:1'));
  await settled();
  expect((await revisions()).map(({ metadata, revision }) => [metadata.name, revision])).toEqual([
    [second?.metadata.name, 2],
    [first?.metadata.name, 3],
  ]);
});

test('OnDelete: only what somebody deletes is made anew; old revisions go beyond the limit', async () => {
  stopKubelet = cluster.playKubelet();
  await create(db({ replicas: 2, updateStrategy: { type: 'OnDelete' }, revisionHistoryLimit: 1 }));
  await settled();
  for (const image of ['example/db:2', 'example/db:3', 'example/db:4']) {
    await setImage(image);
    await eventually(async () => (await setNow()).status?.observedGeneration === (await setNow()).metadata.generation);
  }
  expect(new Set(Object.values(await images()))).toEqual(new Set(['example/db:1']));
  await cluster.client.delete(PODS, 'db-1', namespace);
  await eventually(async () => (await images())['db-1'] === 'example/db:4');
  expect((await images())['db-0']).toBe('example/db:1');
  // That of db-0, that of the template, and one more.
  await eventually(async () => (await cluster.client.list(CONTROLLER_REVISIONS, { namespace })).items.length === 3);
});

test('minReadySeconds: the next pod waits until the one before has been ready for so long', async () => {
  stopKubelet = cluster.playKubelet();
  await create(db({ replicas: 2, minReadySeconds: 1 }));
  const first = await eventually(async () => {
    const pod = await cluster.client.get<Pod>(PODS, 'db-0', namespace);
    return pod?.status?.conditions?.find(({ type }) => type === 'Ready');
  });
  const second = await present('db-1');
  const created = Date.parse(second.metadata.creationTimestamp ?? '');
  expect(created - Date.parse(first.lastTransitionTime ?? '')).toBeGreaterThanOrEqual(1_000);
  await eventually(async () => (await setNow()).status?.availableReplicas === 2);
});

test('a pod that failed is replaced by one of its name', async () => {
  await create(db({ replicas: 1 }));
  const before = await present('db-0');
  const status = { phase: 'Failed' };
  await cluster.client.patch(PODS, 'db-0', namespace, { status }, { subresource: 'status' });
  await eventually(async () => {
    const after = await cluster.client.get<Pod>(PODS, 'db-0', namespace);
    return after !== undefined && after.metadata.uid !== before.metadata.uid;
  });
});

test('claims: made before their pod, kept when it goes, given to the next one of that ordinal; or gone, by policy', async () => {
  stopKubelet = cluster.playKubelet();
  const template = {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name: 'data' },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  };
  const claimNames = async () =>
    (await cluster.client.list(PERSISTENT_VOLUME_CLAIMS, { namespace })).items
      .map(({ metadata }) => metadata.name)
      .sort();
  await create(db({ replicas: 2, volumeClaimTemplates: [template] }));
  await settled();
  expect(await claimNames()).toEqual(['data-db-0', 'data-db-1']);
  const pod = await present('db-1');
  expect(pod.spec.volumes).toContainEqual({ name: 'data', persistentVolumeClaim: { claimName: 'data-db-1' } });
  await change({ replicas: 1 });
  await eventually(async () => (await names()).length === 1);
  expect(await claimNames()).toEqual(['data-db-0', 'data-db-1']);

  await change({ replicas: 2, persistentVolumeClaimRetentionPolicy: { whenScaled: 'Delete', whenDeleted: 'Delete' } });
  await settled();
  await change({ replicas: 1 });
  await eventually(async () => String(await claimNames()) === ['data-db-0'].join());
  await cluster.client.delete(STATEFUL_SETS, 'db', namespace, { propagation: 'Background' });
  await eventually(async () => (await claimNames()).length === 0);
});
