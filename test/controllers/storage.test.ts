// SPDX-License-Identifier: Apache-2.0
// Claims, volumes and what becomes of their directories.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import {
  EVENTS,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  STORAGE_CLASSES,
} from '../../src/kube/resources.ts';
import type { Pod } from '../../src/sandbox/controllers/objects.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../../src/sandbox/controllers/storage/storage-objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
let namespace: string;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.close());
beforeEach(async () => {
  namespace = await cluster.namespace();
});

const createClaim = (name: string, spec: Partial<PersistentVolumeClaim['spec']> = {}) =>
  cluster.client.create<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, {
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: { name, namespace },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
  });
const claimNow = (name: string) => cluster.client.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, name, namespace);
const volumeNow = (name: string) => cluster.client.get<PersistentVolume>(PERSISTENT_VOLUMES, name);
const bound = (name: string) =>
  eventually(async () => {
    const claim = await claimNow(name);
    return claim?.status?.phase === 'Bound' ? claim : undefined;
  });
const createVolume = (name: string, spec: Partial<PersistentVolume['spec']>) =>
  cluster.client.create<PersistentVolume>(PERSISTENT_VOLUMES, {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], capacity: { storage: '5Gi' }, hostPath: { path: `/mnt/${name}` }, ...spec },
  });
const saidOf = async (name: string, reason: string) =>
  (await cluster.client.list(EVENTS, { namespace })).items.some(
    (event) => event['reason'] === reason && (event['involvedObject'] as { name: string }).name === name,
  );
const usingPod = (name: string, claimName: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace },
  spec: {
    containers: [{ name: 'main', image: 'example/web:1' } as never],
    volumes: [{ name: 'data', persistentVolumeClaim: { claimName } }],
  },
});

test('a claim without a class gets the default one and a volume of its own; with the claim go volume and directory', async () => {
  expect((await createClaim('data')).spec.storageClassName).toBe('standard');
  const claim = await bound('data');
  expect(claim.status).toMatchObject({ accessModes: ['ReadWriteOnce'], capacity: { storage: '1Gi' } });
  const name = claim.spec.volumeName ?? '';
  const volume = await volumeNow(name);
  expect(volume).toMatchObject({
    spec: { claimRef: { name: 'data', namespace, uid: claim.metadata.uid }, persistentVolumeReclaimPolicy: 'Delete' },
    status: { phase: 'Bound' },
  });
  // As the node makes it.
  const directory = join(cluster.diskDir, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'file'), 'content');
  await cluster.client.patch(PERSISTENT_VOLUME_CLAIMS, 'data', namespace, {
    spec: { resources: { requests: { storage: '2Gi' } } },
  });
  await eventually(async () => (await claimNow('data'))?.status?.capacity?.['storage'] === '2Gi');
  await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, 'data', namespace);
  await eventually(async () => (await volumeNow(name)) === undefined);
  expect(existsSync(directory)).toBe(false);
});

test('the smallest volume that fits is taken; Retain keeps it, released, for nobody else', async () => {
  await createVolume(`${namespace}-large`, { capacity: { storage: '10Gi' }, storageClassName: namespace });
  await createVolume(`${namespace}-small`, { storageClassName: namespace });
  await createVolume(`${namespace}-tiny`, { capacity: { storage: '1Mi' }, storageClassName: namespace });
  await eventually(async () => (await volumeNow(`${namespace}-large`))?.status?.phase === 'Available');
  await eventually(async () => (await volumeNow(`${namespace}-small`))?.status?.phase === 'Available');
  await createClaim('data', { storageClassName: namespace });
  expect((await bound('data')).spec.volumeName).toBe(`${namespace}-small`);
  await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, 'data', namespace);
  await eventually(async () => (await volumeNow(`${namespace}-small`))?.status?.phase === 'Released');
  await createClaim('data', { storageClassName: namespace });
  expect((await bound('data')).spec.volumeName).toBe(`${namespace}-large`);
});

test('a volume reserved for a claim, and a claim that names its volume, find each other', async () => {
  await createVolume(`${namespace}-a`, { claimRef: { kind: 'PersistentVolumeClaim', namespace, name: 'one' } });
  await createVolume(`${namespace}-b`, {});
  await createClaim('one', { storageClassName: '' });
  expect((await bound('one')).spec.volumeName).toBe(`${namespace}-a`);
  await createClaim('two', { storageClassName: '', volumeName: `${namespace}-b` });
  expect((await bound('two')).spec.volumeName).toBe(`${namespace}-b`);
});

test('why a claim waits stands in its events, and the pod says that it waits for the claim', async () => {
  await createClaim('none', { storageClassName: '' });
  await eventually(() => saidOf('none', 'FailedBinding'));
  await createClaim('unknown', { storageClassName: `${namespace}-missing` });
  await eventually(() => saidOf('unknown', 'ProvisioningFailed'));
  await cluster.client.create(STORAGE_CLASSES, {
    apiVersion: 'storage.k8s.io/v1',
    kind: 'StorageClass',
    metadata: { name: namespace },
    provisioner: 'isthmus.dev/directory',
    volumeBindingMode: 'WaitForFirstConsumer',
  });
  await createClaim('late', { storageClassName: namespace });
  await eventually(() => saidOf('late', 'WaitForFirstConsumer'));
  expect((await claimNow('late'))?.status?.phase).toBe('Pending');
  await eventually(() => cluster.client.create(PODS, usingPod('first', 'late')));
  await bound('late');
  await eventually(async () => (await cluster.client.get<Pod>(PODS, 'first', namespace))?.spec.nodeName);
  await cluster.client.create(PODS, usingPod('stuck', 'none'));
  await eventually(async () => {
    const pod = await cluster.client.get<Pod>(PODS, 'stuck', namespace);
    expect(pod?.status?.conditions?.[0]?.message).toContain('pod has unbound immediate PersistentVolumeClaims');
    return true;
  });
});

test('a claim that a pod uses stays until the pod is gone; a claim whose volume is gone is lost', async () => {
  await createClaim('data');
  await eventually(() => cluster.client.create(PODS, usingPod('user', 'data')));
  await eventually(async () => (await cluster.client.get<Pod>(PODS, 'user', namespace))?.spec.nodeName);
  await cluster.client.delete(PERSISTENT_VOLUME_CLAIMS, 'data', namespace);
  expect((await claimNow('data'))?.metadata.deletionTimestamp).toBeDefined();
  await cluster.client.delete(PODS, 'user', namespace, { gracePeriodSeconds: 0 });
  await eventually(async () => (await claimNow('data')) === undefined);

  await createClaim('other');
  const name = (await bound('other')).spec.volumeName ?? '';
  await cluster.client.delete(PERSISTENT_VOLUMES, name);
  expect((await volumeNow(name))?.metadata.deletionTimestamp).toBeDefined();
  await cluster.client.patch(PERSISTENT_VOLUMES, name, undefined, { metadata: { finalizers: null } });
  await eventually(async () => (await claimNow('other'))?.status?.phase === 'Lost');
});

test('a generic ephemeral volume has a claim of its own, which goes with the pod', async () => {
  const volumeClaimTemplate = {
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } },
  };
  const pod = usingPod('p', '');
  pod.spec.volumes = [{ name: 'scratch', ephemeral: { volumeClaimTemplate } }];
  await eventually(() => cluster.client.create(PODS, pod));
  await bound('p-scratch');
  await eventually(async () => (await cluster.client.get<Pod>(PODS, 'p', namespace))?.spec.nodeName);
  await cluster.client.delete(PODS, 'p', namespace, { gracePeriodSeconds: 0 });
  await eventually(async () => (await claimNow('p-scratch')) === undefined);
});
