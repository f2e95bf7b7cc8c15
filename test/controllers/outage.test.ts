// SPDX-License-Identifier: Apache-2.0
// What the controllers do when they, or the API server, are stopped in the middle of things.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DEPLOYMENTS, ENDPOINT_SLICES, PODS, REPLICA_SETS, SERVICES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { Deployment, EndpointSlice, Service } from '../../src/sandbox/controllers/objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { POOL, startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
let stopKubelet: () => Promise<void>;
beforeAll(async () => {
  cluster = await startCluster();
  stopKubelet = cluster.playKubelet();
});
afterAll(async () => {
  await stopKubelet?.();
  await cluster?.close();
});

function deployment(namespace: string, name: string, replicas: number, image = 'example/web:1'): Deployment {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [{ name: 'main', image } as never] } };
  const spec = { replicas, selector: { matchLabels: labels }, template };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec };
}

async function completed(namespace: string, name: string): Promise<void> {
  await eventually(async () => {
    const { metadata, spec, status } = (await cluster.client.get<Deployment>(DEPLOYMENTS, name, namespace)) ?? {};
    const replicas = spec?.replicas === 0 ? undefined : spec?.replicas;
    expect(status).toMatchObject({ observedGeneration: metadata?.generation });
    expect([status?.replicas, status?.updatedReplicas, status?.availableReplicas]).toEqual([
      replicas,
      replicas,
      replicas,
    ]);
    return true;
  }, 20_000);
}

const names = async (type: typeof PODS, namespace: string) =>
  (await cluster.client.list(type, { namespace })).items.map(({ metadata }: KubeObject) => metadata.name);

test('the API server is away: what was asked for before, and what is asked for after, happens once', async () => {
  const namespace = await cluster.namespace();
  await cluster.client.create(DEPLOYMENTS, deployment(namespace, 'a', 2));
  await completed(namespace, 'a');
  await cluster.client.patch(DEPLOYMENTS, 'a', namespace, { spec: { replicas: 4 } });
  await cluster.restartServer(() => sleep(300));
  await completed(namespace, 'a');
  expect(await names(PODS, namespace)).toHaveLength(4);
  await cluster.client.create(DEPLOYMENTS, deployment(namespace, 'b', 3));
  await completed(namespace, 'b');
  expect(await names(PODS, namespace)).toHaveLength(7);
  expect(await names(REPLICA_SETS, namespace)).toHaveLength(2);
});

test('the controllers are stopped at any moment: they end where they would have ended', async () => {
  const namespace = await cluster.namespace();
  const service = { type: 'LoadBalancer', selector: { app: 'a' }, ports: [{ port: 80 }] };
  await cluster.client.create(SERVICES, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'a', namespace },
    spec: service,
  });
  await cluster.client.create(DEPLOYMENTS, deployment(namespace, 'a', 1));
  // At fixed, growing moments of each rollout: before, amid and after its writes.
  for (const [round, afterMs] of [0, 5, 10, 20, 40, 80].entries()) {
    const replicas = [5, 2, 7, 3, 6, 4][round] ?? 1;
    const next = deployment(namespace, 'a', replicas, `example/web:${round}`);
    await cluster.client.patch(DEPLOYMENTS, 'a', namespace, { spec: next.spec });
    await sleep(afterMs);
    await cluster.restartControllers();
  }
  await completed(namespace, 'a');
  await eventually(async () => expect(await names(PODS, namespace)).toHaveLength(4) ?? true);
  const address = async () =>
    (await cluster.client.get<Service>(SERVICES, 'a', namespace))?.status?.loadBalancer?.ingress?.map(({ ip }) => ip);
  expect(await address()).toEqual([POOL[0]]);
  await eventually(async () => {
    const slices = await cluster.client.list<EndpointSlice>(ENDPOINT_SLICES, { namespace });
    expect(
      slices.items.flatMap(({ endpoints }) => endpoints ?? []).filter(({ conditions }) => conditions.ready),
    ).toHaveLength(4);
    return true;
  });
});

test('what is deleted while nobody watches is collected afterwards', async () => {
  const namespace = await cluster.namespace();
  await cluster.client.create(DEPLOYMENTS, deployment(namespace, 'a', 2));
  await completed(namespace, 'a');
  await cluster.restartControllers(() =>
    cluster.client.delete(DEPLOYMENTS, 'a', namespace, { propagation: 'Background' }),
  );
  await eventually(
    async () => (await names(PODS, namespace)).length + (await names(REPLICA_SETS, namespace)).length === 0,
  );
});

test('twenty Deployments at once are all there within seconds', async () => {
  const namespace = await cluster.namespace();
  const all = Array.from({ length: 20 }, (_, index) => `d${index}`);
  await Promise.all(all.map((name) => cluster.client.create(DEPLOYMENTS, deployment(namespace, name, 5))));
  await Promise.all(all.map((name) => completed(namespace, name)));
  expect(await names(PODS, namespace)).toHaveLength(100);
});
