// SPDX-License-Identifier: Apache-2.0
// Budgets and evictions, nodes that fall silent, taints that drive pods away; kubectl drain does it all.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { KubeError } from '../../src/kube/client.ts';
import {
  DEPLOYMENTS,
  EVENTS,
  LEASES,
  NODES,
  POD_DISRUPTION_BUDGETS,
  PODS,
  resourcePath,
} from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { createNodeLifecycle } from '../../src/sandbox/controllers/nodes/node-lifecycle.ts';
import { createTaintEviction } from '../../src/sandbox/controllers/nodes/taint-eviction.ts';
import type { Node, Pod } from '../../src/sandbox/controllers/objects.ts';
import { findProgram } from '../fixture/sandbox.ts';
import { eventually } from '../fixture/waiting.ts';
import { NODE_NAME, readyNode, runBeside, setReady, startCluster, type TestCluster } from './cluster.ts';

const hasKubectl = findProgram('kubectl') !== undefined;

let cluster: TestCluster;
let namespace: string;
let stopKubelet: () => Promise<void>;
beforeAll(async () => {
  cluster = await startCluster({ without: ['taint-eviction-controller'] });
  stopKubelet = cluster.playKubelet();
});
afterAll(async () => {
  await stopKubelet?.();
  await cluster?.close();
});
beforeEach(async () => {
  namespace = await cluster.namespace();
});

const containers = [{ name: 'main', image: 'example/web:1' }];
const deploy = (replicas: number) =>
  cluster.client.create(DEPLOYMENTS, {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web', of: namespace } }, spec: { containers } },
    },
  });
const budget = (spec: Record<string, unknown>, name = 'web') =>
  cluster.client.create(POD_DISRUPTION_BUDGETS, {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: { name, namespace },
    spec: { selector: { matchLabels: { app: 'web' } }, ...spec },
  });
const allowed = (expected: Record<string, unknown>) =>
  eventually(async () => {
    const { status, metadata } = (await cluster.client.get(POD_DISRUPTION_BUDGETS, 'web', namespace)) as KubeObject;
    expect(status).toMatchObject({ observedGeneration: metadata.generation, ...expected });
    return true;
  });
const podsNow = async () => (await cluster.client.list<Pod>(PODS, { namespace })).items;
const evict = (name: string) =>
  cluster.client.request('POST', resourcePath(PODS, namespace, name, 'eviction'), {
    body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } },
  });
const refusalOf = async (name: string): Promise<KubeError> => {
  const error = await evict(name).catch((refused: unknown) => refused);
  expect(error).toBeInstanceOf(KubeError);
  return error as KubeError;
};

describe('disruption budgets', () => {
  test.each([
    [{ minAvailable: 2 }, { expectedPods: 3, desiredHealthy: 2, currentHealthy: 3, disruptionsAllowed: 1 }],
    [{ minAvailable: '50%' }, { expectedPods: 3, desiredHealthy: 2, disruptionsAllowed: 1 }],
    [{ maxUnavailable: '50%' }, { expectedPods: 3, desiredHealthy: 1, disruptionsAllowed: 2 }],
    [{ maxUnavailable: 0 }, { desiredHealthy: 3, disruptionsAllowed: 0 }],
  ])('%j of three pods', async (spec, expected) => {
    await deploy(3);
    await budget(spec);
    await allowed(expected);
  });

  test('an eviction spends the budget at once; the next one waits until a new pod is ready', async () => {
    await deploy(2);
    await budget({ maxUnavailable: 1 });
    await allowed({ disruptionsAllowed: 1 });
    const [first, second] = (await podsNow()).map(({ metadata }) => metadata.name ?? '');
    await evict(first as string);
    const gone = await cluster.client.get<Pod>(PODS, first as string, namespace);
    if (gone) expect(gone.metadata.deletionTimestamp).toBeDefined();
    // The kubelet of the test is quick: what matters is that there never are two missing.
    await allowed({ disruptionsAllowed: 1, currentHealthy: 2 });
    await evict(second as string);
    await allowed({ disruptionsAllowed: 1, currentHealthy: 2 });
  });

  test('refused with 429 and the reason; two budgets for one pod are refused, a change not yet seen too', async () => {
    await deploy(1);
    await budget({ minAvailable: 1 });
    await allowed({ disruptionsAllowed: 0, currentHealthy: 1 });
    const name = (await podsNow())[0]?.metadata.name ?? '';
    const refused = await refusalOf(name);
    expect(refused).toMatchObject({
      code: 429,
      reason: 'TooManyRequests',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
    });
    expect(refused.status?.details?.causes).toEqual([
      { reason: 'DisruptionBudget', message: 'The disruption budget web needs 1 healthy pods and has 1 currently' },
    ]);
    await budget({ minAvailable: 0 }, 'second');
    expect(await refusalOf(name)).toMatchObject({
      code: 500,
      message: expect.stringContaining('This pod has more than one PodDisruptionBudget'),
    });
  });

  test('a pod that is not ready may go when enough others are', async () => {
    await deploy(2);
    await budget({ minAvailable: 1, unhealthyPodEvictionPolicy: 'IfHealthyBudget' });
    await allowed({ disruptionsAllowed: 1 });
    const [sick, well] = await podsNow();
    await setReady(cluster.client, sick as Pod, '10.1.0.1', false);
    await allowed({ disruptionsAllowed: 0, currentHealthy: 1 });
    expect((await refusalOf(well?.metadata.name ?? '')).code).toBe(429);
    await evict(sick?.metadata.name ?? '');
  });

  test.skipIf(!hasKubectl)(
    'kubectl drain empties a node within the budget (skipped without kubectl on PATH)',
    async () => {
      const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
      const kubectl = async (...args: string[]) => (await promisify(execFile)('kubectl', args, { env })).stdout;
      await cluster.client.create(NODES, readyNode('other-node'));
      await kubectl('cordon', 'other-node');
      await deploy(2);
      await budget({ minAvailable: 1 });
      await allowed({ disruptionsAllowed: 1 });
      await kubectl('uncordon', 'other-node');
      const out = await kubectl(
        'drain',
        NODE_NAME,
        `--pod-selector=of=${namespace}`,
        '--timeout=30s',
        '--ignore-daemonsets',
      );
      expect(out).toContain('drained');
      await eventually(async () => {
        const nodes = (await podsNow()).map(({ spec }) => spec.nodeName);
        expect(nodes).toEqual(['other-node', 'other-node']);
        return true;
      });
      await kubectl('uncordon', NODE_NAME);
      await cluster.client.delete(NODES, 'other-node');
    },
  );
});

describe('nodes', () => {
  const nodeNow = async (name: string) => (await cluster.client.get<Node>(NODES, name)) as Node;
  const ready = (node: Node) => node.status?.conditions?.find(({ type }) => type === 'Ready');
  const taints = async (name: string) =>
    ((await nodeNow(name)).spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`).sort();
  const renew = (name: string) =>
    cluster.client.apply(
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace: 'kube-node-lease' },
        spec: { holderIdentity: name, renewTime: new Date().toISOString().replace('Z', '000Z') },
      },
      LEASES,
    );

  test('silent for too long: Unknown, tainted, its pods not ready; heard again: trusted again', async () => {
    const name = 'silent-node';
    await cluster.client.create(NODES, readyNode(name));
    await renew(name);
    const spec = { nodeName: name, containers };
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace }, spec };
    await eventually(() => cluster.client.create(PODS, pod));
    const isReady = async () =>
      (await cluster.client.get<Pod>(PODS, 'p', namespace))?.status?.conditions?.find(({ type }) => type === 'Ready')
        ?.status;
    await eventually(async () => (await isReady()) === 'True');
    // Stands while the machine has no time for the beats.
    let elapsedMs = 0;
    const stop = await runBeside(cluster, (context) =>
      createNodeLifecycle(context, { graceMs: 1_200, startupMs: 60_000, elapsedMs: () => elapsedMs }),
    );
    for (let beat = 0; beat < 10; beat++) {
      await renew(name);
      await new Promise((resolve) => setTimeout(resolve, 150));
      elapsedMs += 150;
    }
    expect(ready(await nodeNow(name))?.status).toBe('True');
    elapsedMs += 1_200;
    await eventually(async () => ready(await nodeNow(name))?.status === 'Unknown');
    expect(ready(await nodeNow(name))?.reason).toBe('NodeStatusUnknown');
    await eventually(
      async () =>
        String(await taints(name)) ===
        'node.kubernetes.io/unreachable:NoExecute,node.kubernetes.io/unreachable:NoSchedule',
    );
    await eventually(async () => (await isReady()) === 'False');
    // What the node does when it is back.
    await renew(name);
    const beating = setInterval(() => void renew(name).catch(() => {}), 50);
    const { status } = readyNode(name);
    await cluster.client.patch(NODES, name, undefined, { status }, { subresource: 'status' });
    await eventually(async () => (await taints(name)).length === 0);
    expect(ready(await nodeNow(name))?.status).toBe('True');
    await cluster.client.patch(NODES, name, undefined, { spec: { unschedulable: true } });
    await eventually(async () => String(await taints(name)) === 'node.kubernetes.io/unschedulable:NoSchedule');
    clearInterval(beating);
    await stop();
    await cluster.client.delete(NODES, name);
  });

  test('a NoExecute taint drives away who does not bear it, at once or after a time', async () => {
    const name = 'tainted-node';
    await cluster.client.create(NODES, readyNode(name));
    const create = (pod: string, tolerations: unknown[]) =>
      eventually(() =>
        cluster.client.create(PODS, {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name: pod, namespace },
          spec: { nodeName: name, containers, tolerations },
        }),
      );
    const bears = { key: 'ill', operator: 'Exists', effect: 'NoExecute' };
    await create('bearing', [bears]);
    await create('patient', [{ ...bears, tolerationSeconds: 60 }]);
    await create('frail', []);
    let nowMs = Date.now();
    const stop = await runBeside(cluster, (context) => createTaintEviction({ ...context, nowMs: () => nowMs }));
    const names = async () =>
      (await podsNow())
        .map(({ metadata }) => metadata.name)
        .sort()
        .join();
    await cluster.client.patch(NODES, name, undefined, { spec: { taints: [{ key: 'ill', effect: 'NoExecute' }] } });
    await eventually(async () => (await names()) === 'bearing,patient');
    nowMs += 61_000;
    await cluster.client.patch(PODS, 'patient', namespace, { metadata: { labels: { seen: 'again' } } });
    await eventually(async () => (await names()) === 'bearing');
    await eventually(async () =>
      (await cluster.client.list(EVENTS, { namespace })).items.some(
        (event) => event['reason'] === 'TaintManagerEviction',
      ),
    );
    await stop();
    await cluster.client.delete(NODES, name);
  });
});
