// SPDX-License-Identifier: Apache-2.0
// Users, crashes and a kubelet at once, in a fixed order of operations. Whatever happens on the way, in the end every
// Deployment has exactly its pods, every Service exactly its endpoints, and nothing is left that belongs to nobody.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeError } from '../../src/kube/client.ts';
import { DEPLOYMENTS, ENDPOINT_SLICES, PODS, REPLICA_SETS, SERVICES } from '../../src/kube/resources.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import type { Deployment, EndpointSlice, Pod, ReplicaSet } from '../../src/sandbox/controllers/objects.ts';
import { seeded } from '../fixture/random.ts';
import { eventually } from '../fixture/waiting.ts';
import { startCluster, type TestCluster } from './cluster.ts';

const OPERATIONS = 300;
const NAMES = ['a', 'b', 'c', 'd'];

let cluster: TestCluster;
let stopKubelet: () => Promise<void>;
let namespace: string;
beforeAll(async () => {
  cluster = await startCluster();
  stopKubelet = cluster.playKubelet();
  namespace = await cluster.namespace();
});
afterAll(async () => {
  await stopKubelet?.();
  await cluster?.close();
});

const random = seeded(5);
const below = (limit: number) => Math.floor(random() * limit);
const pick = <T>(list: readonly T[]): T | undefined => list[below(list.length)];

function deployment(name: string): Deployment {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [container()] } };
  const strategy = { type: random() < 0.2 ? 'Recreate' : 'RollingUpdate' };
  const spec = { replicas: 1 + below(5), selector: { matchLabels: labels }, strategy, template };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name, namespace }, spec };
}

function container() {
  return { name: 'main', image: `example/web:${below(4)}` };
}

async function act(): Promise<void> {
  const { client } = cluster;
  const name = pick(NAMES) ?? 'a';
  const dice = random();
  const patch = (spec: unknown) => client.patch(DEPLOYMENTS, name, namespace, { spec }, { kind: 'strategic' });
  if (dice < 0.15) await client.create(DEPLOYMENTS, deployment(name));
  else if (dice < 0.35) await patch({ replicas: below(7) });
  else if (dice < 0.55) await patch({ template: { spec: { containers: [container()] } } });
  else if (dice < 0.63) await patch({ paused: random() < 0.5 });
  else if (dice < 0.7) {
    const propagation = pick(['Background', 'Foreground', 'Orphan'] as const) ?? 'Background';
    await client.delete(DEPLOYMENTS, name, namespace, { propagation });
  } else if (dice < 0.87) await deleteOne(PODS);
  else if (dice < 0.91) await deleteOne(REPLICA_SETS);
  else if (dice < 0.94) await cluster.restartControllers();
  else await sleep(random() * 40);
}

async function deleteOne(type: typeof PODS): Promise<void> {
  const victim = pick((await cluster.client.list(type, { namespace })).items);
  if (victim) await cluster.client.delete(type, victim.metadata.name ?? '', namespace, { propagation: 'Background' });
}

/** What a user may well be refused: the object is gone, is there already, has changed, is being deleted. */
async function actOrBeRefused(action: () => Promise<unknown>): Promise<void> {
  await action().catch((error: unknown) => {
    if (!(error instanceof KubeError && [404, 409, 422].includes(error.code))) throw error;
  });
}

const isOwnedBy = (owners: readonly KubeObject[]) => (object: KubeObject) =>
  object.metadata.ownerReferences?.some(({ uid }) => owners.some(({ metadata }) => metadata.uid === uid)) ?? false;

async function expectRest(): Promise<true> {
  const { client } = cluster;
  const pods = (await client.list<Pod>(PODS, { namespace })).items;
  const replicaSets = (await client.list<ReplicaSet>(REPLICA_SETS, { namespace })).items;
  const deployments = (await client.list<Deployment>(DEPLOYMENTS, { namespace })).items;
  expect(deployments.map(({ metadata }) => metadata.name).sort()).toEqual(NAMES);
  for (const { metadata, spec, status } of deployments) {
    const own = pods.filter(isOwnedBy(replicaSets.filter(isOwnedBy([{ apiVersion: '', kind: '', metadata }]))));
    const counts = [own.length, status?.replicas ?? 0, status?.updatedReplicas ?? 0, status?.availableReplicas ?? 0];
    expect([metadata.name, ...counts]).toEqual([metadata.name, ...Array(4).fill(spec.replicas)]);
    expect(status?.observedGeneration).toBe(metadata.generation);
    const labelSelector = `kubernetes.io/service-name=${metadata.name}`;
    const slices = (await client.list<EndpointSlice>(ENDPOINT_SLICES, { namespace, labelSelector })).items;
    const targets = slices.flatMap(({ endpoints }) => endpoints ?? []).map(({ targetRef }) => targetRef?.name);
    const selected = pods.filter((pod) => pod.metadata.labels?.['app'] === metadata.name);
    expect(targets.sort()).toEqual(selected.map((pod) => pod.metadata.name).sort());
  }
  // Orphans have no owner at all; whoever names one has a living one.
  const claimed = [...pods, ...replicaSets].filter(({ metadata }) => metadata.ownerReferences !== undefined);
  expect(claimed.filter((object) => !isOwnedBy([...replicaSets, ...deployments])(object))).toEqual([]);
  return true;
}

test(`${OPERATIONS} operations of every sort, with restarts of the controllers among them`, async () => {
  for (const name of NAMES) {
    const spec = { selector: { app: name }, ports: [{ port: 80 }] };
    await cluster.client.create(SERVICES, { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec });
  }
  for (let step = 0; step < OPERATIONS; step++) await actOrBeRefused(act);
  // A Deployment may still be on its way out: the last wish of each counts.
  for (const name of NAMES) {
    await eventually(async () => {
      await actOrBeRefused(() => cluster.client.create(DEPLOYMENTS, deployment(name)));
      const patch = { spec: { paused: false, replicas: 3 } };
      const wished = await cluster.client.patch(DEPLOYMENTS, name, namespace, patch);
      return wished.metadata.deletionTimestamp === undefined;
    });
  }
  await eventually(expectRest, 30_000);
}, 120_000);
