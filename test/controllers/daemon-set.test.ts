// SPDX-License-Identifier: Apache-2.0
// One pod a node: against the real API server, the test plays the kubelets.
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { CONTROLLER_REVISIONS, DAEMON_SETS, NODES, PODS } from '../../src/kube/resources.ts';
import type { Node, Pod } from '../../src/sandbox/controllers/objects.ts';
import type { ControllerRevision, DaemonSet } from '../../src/sandbox/controllers/workloads/workload-objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { readyNode, startCluster, type TestCluster } from './cluster.ts';

const NODE_NAMES = ['node-a', 'node-b', 'node-c'];

let cluster: TestCluster;
let namespace: string;
let stopKubelet: () => Promise<void>;
beforeAll(async () => {
  cluster = await startCluster();
  await cluster.client.delete(NODES, 'test-node');
  for (const name of NODE_NAMES) await cluster.client.create(NODES, readyNode(name));
  stopKubelet = cluster.playKubelet();
});
afterAll(async () => {
  await stopKubelet?.();
  await cluster?.close();
});
beforeEach(async () => {
  namespace = await cluster.namespace();
});

function agent(spec: Partial<DaemonSet['spec']> = {}): DaemonSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { name: 'agent', namespace },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: {
        metadata: { labels: { app: 'agent' } },
        spec: { containers: [{ name: 'main', image: 'example/agent:1' } as never] },
      },
      ...spec,
    },
  };
}

const podsNow = async () => (await cluster.client.list<Pod>(PODS, { namespace })).items;
const nodesOfPods = async () => (await podsNow()).map(({ spec }) => spec.nodeName).sort();
const setNow = async () => (await cluster.client.get<DaemonSet>(DAEMON_SETS, 'agent', namespace)) as DaemonSet;
const change = (spec: unknown) =>
  cluster.client.patch(DAEMON_SETS, 'agent', namespace, { spec }, { kind: 'strategic' });
const setImage = (image: string) => change({ template: { spec: { containers: [{ name: 'main', image }] } } });
const images = async () => (await podsNow()).map((pod) => (pod.spec.containers[0] as never)['image']);
const available = (count: number) =>
  eventually(async () => {
    const { metadata, status } = await setNow();
    expect(status).toMatchObject({
      observedGeneration: metadata.generation,
      desiredNumberScheduled: count,
      updatedNumberScheduled: count,
      numberAvailable: count,
    });
    return true;
  });

test('every node gets one, cordoned ones too; a selector, a taint and a deleted pod are heeded', async () => {
  await cluster.client.patch(NODES, 'node-b', undefined, { spec: { unschedulable: true } });
  await cluster.client.create(DAEMON_SETS, agent());
  await available(3);
  expect(await nodesOfPods()).toEqual(NODE_NAMES);
  await cluster.client.patch(NODES, 'node-b', undefined, { spec: { unschedulable: null } });

  const [victim] = await podsNow();
  await cluster.client.delete(PODS, victim?.metadata.name ?? '', namespace);
  await eventually(async () => !(await podsNow()).some(({ metadata }) => metadata.uid === victim?.metadata.uid));
  await available(3);

  const taints = [{ key: 'reserved', effect: 'NoSchedule' }];
  await cluster.client.patch(NODES, 'node-c', undefined, { spec: { taints } });
  await eventually(async () => (await setNow()).status?.numberMisscheduled === 1);
  expect(await nodesOfPods()).toEqual(NODE_NAMES);
  const executing = [{ key: 'reserved', effect: 'NoExecute' }];
  await cluster.client.patch(NODES, 'node-c', undefined, { spec: { taints: executing } });
  await eventually(async () => String(await nodesOfPods()) === 'node-a,node-b');
  await cluster.client.patch(NODES, 'node-c', undefined, { spec: { taints: null } });
  await available(3);

  await cluster.client.patch(NODES, 'node-a', undefined, { metadata: { labels: { disk: 'fast' } } });
  await change({ template: { spec: { nodeSelector: { disk: 'fast' } } } });
  await available(1);
  expect(await nodesOfPods()).toEqual(['node-a']);
});

test('a rolling update misses one node at a time; its history is undone by what kubectl sends', async () => {
  await cluster.client.create(DAEMON_SETS, agent());
  await available(3);
  let least = 3;
  const watching = new AbortController();
  const watch = (async () => {
    while (!watching.signal.aborted) {
      const ready = (await podsNow()).filter(
        ({ metadata, status }) =>
          !metadata.deletionTimestamp &&
          status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
      );
      least = Math.min(least, ready.length);
    }
  })();
  await setImage('example/agent:2');
  await available(3);
  watching.abort();
  await watch;
  expect(least).toBe(2);
  expect(new Set(await images())).toEqual(new Set(['example/agent:2']));
  const revisions = (await cluster.client.list<ControllerRevision>(CONTROLLER_REVISIONS, { namespace })).items;
  const first = revisions.find(({ revision }) => revision === 1);
  await cluster.client.patch(DAEMON_SETS, 'agent', namespace, first?.data, { kind: 'strategic' });
  await eventually(async () => String(await images()) === Array(3).fill('example/agent:1').join());
  await available(3);
});

test('with maxSurge the new pod is there before the old one goes; OnDelete waits for the user', async () => {
  await cluster.client.create(
    DAEMON_SETS,
    agent({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }),
  );
  await available(3);
  let least = 3;
  const watching = new AbortController();
  const watch = (async () => {
    while (!watching.signal.aborted) {
      const nodes = (await podsNow())
        .filter(({ metadata }) => !metadata.deletionTimestamp)
        .map(({ spec }) => spec.nodeName);
      least = Math.min(least, new Set(nodes.filter(Boolean)).size);
    }
  })();
  await setImage('example/agent:2');
  await eventually(async () => String(await images()) === Array(3).fill('example/agent:2').join());
  watching.abort();
  await watch;
  expect(least).toBe(3);

  await change({ updateStrategy: { $retainKeys: ['type'], type: 'OnDelete' } });
  await setImage('example/agent:3');
  await eventually(async () => (await setNow()).status?.observedGeneration === (await setNow()).metadata.generation);
  expect(new Set(await images())).toEqual(new Set(['example/agent:2']));
  const [victim] = await podsNow();
  await cluster.client.delete(PODS, victim?.metadata.name ?? '', namespace);
  await eventually(async () => String((await images()).sort()) === 'example/agent:2,example/agent:2,example/agent:3');
});

test('a node that comes gets its pod, one that is gone counts no longer', async () => {
  await cluster.client.create(DAEMON_SETS, agent());
  await available(3);
  await cluster.client.create<Node>(NODES, readyNode('node-d') as Node);
  await available(4);
  await cluster.client.delete(NODES, 'node-d');
  await eventually(async () => (await setNow()).status?.desiredNumberScheduled === 3);
});
