// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONFIG_MAPS, CRDS, EVENTS, NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS } from '../../src/kube/resources.ts';
import type { KubeObject, OwnerReference, ResourceType } from '../../src/kube/types.ts';
import { createEventExpiry } from '../../src/sandbox/controllers/garbage/event-expiry.ts';
import { createPodGarbageCollector } from '../../src/sandbox/controllers/garbage/pod-gc.ts';
import type { ConfigMap, Namespace, Pod } from '../../src/sandbox/controllers/objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { NODE_NAME, readyNode, runBeside, startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.close());

async function createConfigMap(
  namespace: string,
  name: string,
  owners: OwnerReference[] = [],
  finalizers: string[] = [],
) {
  const metadata = { name, namespace, ownerReferences: owners, finalizers };
  return await cluster.client.create<ConfigMap>(CONFIG_MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata });
}

function ownerOf(object: KubeObject, blockOwnerDeletion = true): OwnerReference {
  const { name = '', uid = '' } = object.metadata;
  return { apiVersion: object.apiVersion, kind: object.kind, name, uid, blockOwnerDeletion };
}

const configMap = (namespace: string, name: string) => cluster.client.get<ConfigMap>(CONFIG_MAPS, name, namespace);

test('a namespace gets its default service account and the root certificate, also when somebody removes them', async () => {
  const namespace = await cluster.namespace();
  const both = async () => [
    (await cluster.client.get(SERVICE_ACCOUNTS, 'default', namespace))?.metadata.uid,
    (await configMap(namespace, 'kube-root-ca.crt'))?.data?.['ca.crt'],
  ];
  const [uid, pem] = await eventually(async () => ((await both()).every(Boolean) ? await both() : undefined));
  expect(pem).toMatch(/^-----BEGIN CERTIFICATE-----/);
  await cluster.client.delete(SERVICE_ACCOUNTS, 'default', namespace);
  await cluster.client.patch(CONFIG_MAPS, 'kube-root-ca.crt', namespace, { data: { 'ca.crt': 'spoilt' } });
  await eventually(async () => {
    const [newUid, newPem] = await both();
    expect(newPem).toBe(pem);
    return newUid !== undefined && newUid !== uid;
  });
});

test('a namespace goes with its contents, and waits, saying why, for what a finalizer holds', async () => {
  const namespace = await cluster.namespace();
  await createConfigMap(namespace, 'one');
  await createConfigMap(namespace, 'held', [], ['example.com/hold']);
  await cluster.client.delete(NAMESPACES, namespace);
  const waiting = await eventually(async () => {
    const object = await cluster.client.get<Namespace>(NAMESPACES, namespace);
    return object?.status?.conditions ? object : undefined;
  });
  expect(waiting.status).toEqual({
    phase: 'Terminating',
    conditions: [
      expect.objectContaining({
        type: 'NamespaceDeletionDiscoveryFailure',
        status: 'False',
        reason: 'ResourcesDiscovered',
      }),
      expect.objectContaining({
        type: 'NamespaceDeletionGroupVersionParsingFailure',
        status: 'False',
        reason: 'ParsedGroupVersions',
      }),
      expect.objectContaining({ type: 'NamespaceDeletionContentFailure', status: 'False', reason: 'ContentDeleted' }),
      expect.objectContaining({
        type: 'NamespaceContentRemaining',
        status: 'True',
        reason: 'SomeResourcesRemain',
        message: 'Some resources are remaining: configmaps. has 1 resource instances',
      }),
      expect.objectContaining({
        type: 'NamespaceFinalizersRemaining',
        status: 'True',
        reason: 'SomeFinalizersRemain',
        message: 'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
      }),
    ],
  });
  expect(await configMap(namespace, 'one')).toBeUndefined();
  await cluster.client.patch(CONFIG_MAPS, 'held', namespace, { metadata: { finalizers: null } });
  const releasedAt = performance.now();
  await eventually(async () => (await cluster.client.get(NAMESPACES, namespace)) === undefined);
  // Woken by the deletion, not by the clock.
  expect(performance.now() - releasedAt).toBeLessThan(1_500);
});

test('dependents go with their owner; those with another owner lose only the reference', async () => {
  const namespace = await cluster.namespace();
  const owner = await createConfigMap(namespace, 'owner');
  const other = await createConfigMap(namespace, 'other');
  await createConfigMap(namespace, 'child', [ownerOf(owner)]);
  await createConfigMap(namespace, 'shared', [ownerOf(owner), ownerOf(other)]);
  await cluster.client.delete(CONFIG_MAPS, 'owner', namespace, { propagation: 'Background' });
  await eventually(async () => (await configMap(namespace, 'child')) === undefined);
  await eventually(async () => {
    expect((await configMap(namespace, 'shared'))?.metadata.ownerReferences).toEqual([ownerOf(other)]);
    return true;
  });
});

test('an owner is known by its uid: a dependent of one that never existed goes, whatever has its name', async () => {
  const namespace = await cluster.namespace();
  const owner = await createConfigMap(namespace, 'owner');
  await createConfigMap(namespace, 'child', [ownerOf(owner)]);
  await createConfigMap(namespace, 'stray', [{ ...ownerOf(owner), uid: 'f3b5b5a5-0000-4000-8000-000000000000' }]);
  await eventually(async () => (await configMap(namespace, 'stray')) === undefined);
  expect(await configMap(namespace, 'child')).toBeDefined();
});

test('an owner of a kind that the server does not know is no reason to delete', async () => {
  const namespace = await cluster.namespace();
  const unknown = {
    apiVersion: 'example.com/v1',
    kind: 'Unknown',
    name: 'x',
    uid: 'f3b5b5a5-0000-4000-8000-000000000001',
  };
  await createConfigMap(namespace, 'kept', [unknown]);
  await createConfigMap(namespace, 'stray', [{ ...unknown, apiVersion: 'v1', kind: 'ConfigMap' }]);
  await eventually(async () => (await configMap(namespace, 'stray')) === undefined);
  expect(await configMap(namespace, 'kept')).toBeDefined();
});

test('foreground: the owner waits for the dependents that block it', async () => {
  const namespace = await cluster.namespace();
  const owner = await createConfigMap(namespace, 'owner');
  await createConfigMap(namespace, 'child', [ownerOf(owner)], ['example.com/hold']);
  await cluster.client.delete(CONFIG_MAPS, 'owner', namespace, { propagation: 'Foreground' });
  await eventually(async () => (await configMap(namespace, 'child'))?.metadata.deletionTimestamp);
  expect((await configMap(namespace, 'owner'))?.metadata.finalizers).toEqual(['foregroundDeletion']);
  await cluster.client.patch(CONFIG_MAPS, 'child', namespace, { metadata: { finalizers: null } });
  await eventually(async () => (await configMap(namespace, 'owner')) === undefined);
});

test('orphan: the dependents stay and forget their owner', async () => {
  const namespace = await cluster.namespace();
  const owner = await createConfigMap(namespace, 'owner');
  await createConfigMap(namespace, 'child', [ownerOf(owner)]);
  await cluster.client.delete(CONFIG_MAPS, 'owner', namespace, { propagation: 'Orphan' });
  await eventually(async () => (await configMap(namespace, 'owner')) === undefined);
  expect((await configMap(namespace, 'child'))?.metadata.ownerReferences).toBeUndefined();
});

test('custom resources are collected like any other, as soon as their CRD is there', async () => {
  const group = `g${process.pid}.example.com`;
  const type: ResourceType = { group, version: 'v1', resource: 'things', kind: 'Thing', namespaced: true };
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  const spec = {
    group,
    scope: 'Namespaced',
    names: { plural: 'things', singular: 'thing', kind: 'Thing', listKind: 'ThingList' },
    versions: [{ name: 'v1', served: true, storage: true, schema }],
  };
  const crd = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `things.${group}` },
    spec,
  };
  await cluster.client.create(CRDS, crd);
  const namespace = await cluster.namespace();
  const thing = (name: string, ownerReferences: OwnerReference[] = []) =>
    cluster.client.create(type, {
      apiVersion: `${group}/v1`,
      kind: 'Thing',
      metadata: { name, namespace, ownerReferences },
    });
  const owner = await eventually(() => thing('owner'));
  await thing('child', [ownerOf(owner)]);
  await createConfigMap(namespace, 'child', [ownerOf(owner)]);
  await cluster.client.delete(type, 'owner', namespace, { propagation: 'Background' });
  await eventually(async () => (await configMap(namespace, 'child')) === undefined);
  await eventually(async () => (await cluster.client.get(type, 'child', namespace)) === undefined);
  await thing('last');
  await cluster.client.delete(NAMESPACES, namespace);
  await eventually(async () => (await cluster.client.get(NAMESPACES, namespace)) === undefined);
  await cluster.client.delete(CRDS, crd.metadata.name);
});

const HELPLESS = 'preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.';

test('scheduler: a pod that fits nowhere says why, and is placed when a node appears', async () => {
  const namespace = await cluster.namespace();
  const spec = { nodeSelector: { disk: 'fast' }, containers: [{ name: 'main', image: 'example/web:1' }] };
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace }, spec };
  await eventually(() => cluster.client.create(PODS, pod));
  const message = `0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. ${HELPLESS}`;
  await eventually(async () => {
    const current = await cluster.client.get<Pod>(PODS, 'p', namespace);
    expect(current?.status?.conditions).toContainEqual(
      expect.objectContaining({ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }),
    );
    const events = (await cluster.client.list(EVENTS, { namespace })).items;
    expect(events.filter((event) => event['reason'] === 'FailedScheduling').map((event) => event['message'])).toEqual([
      message,
    ]);
    return true;
  });
  await cluster.client.patch(NODES, NODE_NAME, undefined, { metadata: { labels: { disk: 'fast' } } });
  await eventually(async () => (await cluster.client.get<Pod>(PODS, 'p', namespace))?.spec.nodeName === NODE_NAME);
  const scheduled = (await cluster.client.get<Pod>(PODS, 'p', namespace))?.status?.conditions;
  expect(scheduled?.filter(({ type }) => type === 'PodScheduled').map(({ status }) => status)).toEqual(['True']);
  await cluster.client.patch(NODES, NODE_NAME, undefined, { metadata: { labels: { disk: null } } });
});

test('a cordoned node gets no pods', async () => {
  const namespace = await cluster.namespace();
  await cluster.client.apply(readyNode(NODE_NAME), NODES);
  await cluster.client.patch(NODES, NODE_NAME, undefined, { spec: { unschedulable: true } });
  const spec = { containers: [{ name: 'main', image: 'example/web:1' }] };
  await eventually(() =>
    cluster.client.create(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace }, spec }),
  );
  await eventually(async () => {
    const pod = await cluster.client.get<Pod>(PODS, 'p', namespace);
    expect(pod?.status?.conditions?.[0]?.message).toBe(
      `0/1 nodes are available: 1 node(s) were unschedulable. ${HELPLESS}`,
    );
    return true;
  });
  await cluster.client.patch(NODES, NODE_NAME, undefined, { spec: { unschedulable: null } });
  await eventually(async () => (await cluster.client.get<Pod>(PODS, 'p', namespace))?.spec.nodeName === NODE_NAME);
});

test('pods of a node that is gone are removed, after a while; those of a node that came back are not', async () => {
  const namespace = await cluster.namespace();
  const create = (name: string, nodeName: string) => {
    const spec = { nodeName, containers: [{ name: 'main', image: 'example/web:1' }] };
    return eventually(() =>
      cluster.client.create(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace }, spec }),
    );
  };
  await create('lost', 'gone-node');
  await create('kept', NODE_NAME);
  // The cluster's own waits forty seconds; this one does not.
  const stop = await runBeside(cluster, (context) => createPodGarbageCollector(context, 50));
  await eventually(async () => (await cluster.client.get(PODS, 'lost', namespace)) === undefined);
  expect(await cluster.client.get(PODS, 'kept', namespace)).toBeDefined();
  await stop();
});

test('events go an hour after they last happened', async () => {
  const namespace = await cluster.namespace();
  const create = (name: string, inMs: number) => {
    const lastTimestamp = new Date(Date.now() + inMs).toISOString().replace(/\.\d+/, '');
    const involvedObject = { kind: 'Pod', name: 'p', namespace };
    const event = { apiVersion: 'v1', kind: 'Event', metadata: { name, namespace }, involvedObject, lastTimestamp };
    return cluster.client.create(EVENTS, { ...event, reason: 'R', message: 'm', type: 'Normal' });
  };
  // Its clock is a second short of an hour ahead.
  const stop = await runBeside(cluster, (context) =>
    createEventExpiry({ ...context, nowMs: () => Date.now() + 3_599_000 }),
  );
  await create('once', 0);
  await create('again', 60_000);
  const names = async () =>
    (await cluster.client.list(EVENTS, { namespace })).items.map(({ metadata }) => metadata.name);
  await eventually(async () => !(await names()).includes('once'));
  expect(await names()).toEqual(['again']);
  await stop();
});
