// SPDX-License-Identifier: Apache-2.0
// Taking the mesh out of a cluster, and a cluster out of what the others know.
import { setTimeout as sleep } from 'node:timers/promises';
import { buildCrds } from '../../api/crds.ts';
import { EXPORTERS_ANNOTATION, MANAGED_BY, MANAGED_BY_LABEL } from '../../api/export-names.ts';
import { resourceOf } from '../../api/kind.ts';
import { KINDS, MCS_KINDS } from '../../api/kinds.ts';
import { SERVICE_ENTRY } from '../../api/service-entry.ts';
import { describeObject } from '../../install/resource-types.ts';
import { uninstall } from '../../install/uninstall.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { REMOTE_SECRET_LABEL } from '../../kube/remote-kubeconfig.ts';
import { CONFIG_MAPS, CRDS, LEASES, NAMESPACES, SECRETS } from '../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../kube/types.ts';
import { askPlane, listPlanePods, runningPilots } from '../proxies/planes.ts';
import { DNS_NAMESPACE, planStubRemoval } from './cluster-dns.ts';
import { installation, record, type Scene } from './desired.ts';
import { meshTypeOf } from './live-objects.ts';
import type { Member } from './members.ts';
import { FOR_CLUSTER_LABEL, RECORD } from './record.ts';
import { readDnsState } from './sighting.ts';

export interface RemovalOptions {
  readonly client: KubeClient;
  readonly keepDefinitions: boolean;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly report: (what: string, changes: number) => void;
}

/** What people wrote and what goes with its definition: by kind, their names. */
export async function findPersonsObjects(client: KubeClient): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  await Promise.all(
    [...KINDS, ...MCS_KINDS].map(async (kind) => {
      const theirs = (await listIfServed(client, resourceOf(kind))).filter(
        ({ metadata }) => metadata.labels?.[MANAGED_BY_LABEL] !== MANAGED_BY,
      );
      if (theirs.length > 0)
        found.set(
          kind.kind,
          theirs.map((object) => describeObject({ ...object, kind: '' }).trim()),
        );
    }),
  );
  return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Removes all that a mesh has put into a cluster, and returns when it is gone. */
export async function removeCluster(options: RemovalOptions): Promise<void> {
  const { client, report, keepDefinitions } = options;
  report('names of other clusters', await removeStubZones(client));
  let removed = 0;
  const count = (event: { kind: string }): void => {
    if (event.kind === 'deleted') removed++;
  };
  await uninstall({ client, keepDefinitions, report: count });
  report('installation', removed);
  removed = await removeLeases(client);
  await waitUntilGone(options);
  // What the control plane wrote while it was ending.
  await uninstall({ client, keepDefinitions, report: count });
  report('what was left', removed);
}

async function removeStubZones(client: KubeClient): Promise<number> {
  const changes = planStubRemoval(await readDnsState(client));
  for (const change of changes) {
    if (change.kind === 'problem') throw new Error(change.message);
    if (change.kind === 'delete') await client.delete(CONFIG_MAPS, change.name, DNS_NAMESPACE);
    if (change.kind === 'write')
      await client.patch(CONFIG_MAPS, change.object.metadata.name ?? '', DNS_NAMESPACE, change.object);
  }
  return changes.length;
}

/** In a namespace that stays they would stay too. */
async function removeLeases(client: KubeClient): Promise<number> {
  const leases = (await client.list(LEASES, { namespace: ISTIO_NAMESPACE })).items.filter(({ metadata }) =>
    metadata.name?.startsWith('isthmus-'),
  );
  for (const { metadata } of leases) await client.delete(LEASES, metadata.name ?? '', ISTIO_NAMESPACE);
  return leases.length;
}

async function waitUntilGone({ client, keepDefinitions, timeoutMs, signal }: RemovalOptions): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const namespace = await client.get(NAMESPACES, ISTIO_NAMESPACE);
    const isEnding = namespace?.metadata.deletionTimestamp !== undefined;
    const pods = namespace === undefined ? [] : await listPods(client);
    const crds = keepDefinitions ? [] : await endingDefinitions(client);
    if (!isEnding && pods.length === 0 && crds.length === 0) return;
    if (performance.now() > deadline) {
      const what = [...(isEnding ? [`namespace ${ISTIO_NAMESPACE}`] : []), ...pods, ...crds].slice(0, 4).join(', ');
      throw new Error(`after ${Math.round(timeoutMs / 1000)} s there still is ${what}`);
    }
    await sleep(200, undefined, { signal });
  }
}

async function listPods(client: KubeClient): Promise<string[]> {
  const selector = `app in (istiod,istio-citadel,istio-sidecar-injector,istio-ingressgateway,istio-egressgateway,istiocoredns)`;
  const type: ResourceType = { group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true };
  const { items } = await client.list(type, { namespace: ISTIO_NAMESPACE, labelSelector: selector });
  return items.map(({ metadata }) => `Pod ${metadata.name}`);
}

async function endingDefinitions(client: KubeClient): Promise<string[]> {
  const ours = new Set(buildCrds().map(({ metadata }) => metadata.name));
  const { items } = await client.list(CRDS);
  return items
    .filter(({ metadata }) => ours.has(metadata.name) && metadata.deletionTimestamp !== undefined)
    .map(({ metadata }) => `CustomResourceDefinition ${metadata.name}`);
}

/** What a cluster that stays has for the sake of those that leave. */
export async function findTies(client: KubeClient, leaving: ReadonlySet<string>): Promise<KubeObject[]> {
  const { items } = await client.list(SECRETS, { namespace: ISTIO_NAMESPACE, labelSelector: FOR_CLUSTER_LABEL });
  return items.filter(({ metadata }) => leaving.has(metadata.labels?.[FOR_CLUSTER_LABEL] ?? ''));
}

/** Until every proxy has what its control plane has just sent. */
const SETTLED_MS = 1_000;
const [REMOTE_LABEL = ''] = REMOTE_SECRET_LABEL.split('=');

/**
 * A cluster that stays forgets those that leave, before these stop answering: their imports go, and its proxies are told.
 * @param scene the mesh without those that leave
 */
export async function forgetClusters(
  scene: Scene,
  member: Member,
  leaving: ReadonlySet<string>,
  options: Omit<RemovalOptions, 'client' | 'keepDefinitions'>,
): Promise<void> {
  const { client } = member;
  const { report } = options;
  const ties = await findTies(client, leaving);
  for (const { metadata } of ties) await client.delete(SECRETS, metadata.name ?? '', ISTIO_NAMESPACE);
  report('secrets', ties.length);
  if (member.spec.controlPlane.kind === 'own') await applySettings(scene, member);
  const served = ties.filter(({ metadata }) => metadata.labels?.[REMOTE_LABEL] !== undefined);
  await Promise.all([
    waitForImports(client, leaving, options),
    ...(served.length > 0 ? [waitForRegistries(client, leaving, options)] : []),
  ]);
  report('what it knew of them', ties.length);
}

/** Once they have gone: what a run that ends before goes on with. */
export async function writeRecord(scene: Scene, { client, ...member }: Member): Promise<void> {
  // Where the mesh has not come, or has gone from, there is nothing to keep.
  if ((await client.get(CONFIG_MAPS, RECORD, ISTIO_NAMESPACE)) === undefined) return;
  await client.apply(record(scene, { client, ...member }), CONFIG_MAPS, { fieldManager: 'isthmus' });
}

/** The networks of those that leave, and the way to the control plane where nobody needs it any more. */
async function applySettings(scene: Scene, member: Member): Promise<void> {
  const { stages } = installation(scene, member);
  const settings = stages
    .flatMap(({ objects }) => objects)
    .filter(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'istio');
  for (const object of settings) await member.client.apply(object, meshTypeOf(object), { fieldManager: 'isthmus' });
}

/** Until nothing of a cluster leads to those that leave, and its proxies have been told. */
export async function waitForImports(
  client: KubeClient,
  leaving: ReadonlySet<string>,
  { timeoutMs, signal }: Pick<RemovalOptions, 'timeoutMs' | 'signal'>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (let looks = 0; ; looks++) {
    const entries = await listIfServed(client, resourceOf(SERVICE_ENTRY), `${MANAGED_BY_LABEL}=${MANAGED_BY}`);
    const left = entries.filter(({ metadata }) =>
      (metadata.annotations?.[EXPORTERS_ANNOTATION] ?? '').split(',').some((cluster) => leaving.has(cluster)),
    );
    if (left.length === 0) {
      if (looks > 0) await sleep(SETTLED_MS, undefined, { signal });
      return;
    }
    if (performance.now() > deadline) {
      const names = left.slice(0, 3).map((object) => describeObject(object));
      throw new Error(
        `after ${Math.round(timeoutMs / 1000)} s its control plane still has ${names.join(', ')} of a cluster that is to leave`,
      );
    }
    await sleep(100, undefined, { signal });
  }
}

/** A control plane lets go of a cluster that it serves some seconds after its Secret has gone. */
async function waitForRegistries(
  client: KubeClient,
  leaving: ReadonlySet<string>,
  { timeoutMs, signal }: Pick<RemovalOptions, 'timeoutMs' | 'signal'>,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const pods = runningPilots(await listPlanePods(client));
    const known = await Promise.all(pods.map(async (pod) => (await askPlane(client, pod, 'registries')) as Registries));
    const left = known.flatMap(({ registries }) => registries).filter(({ cluster }) => leaving.has(cluster));
    if (left.length === 0) break;
    if (performance.now() > deadline) {
      throw new Error(`after ${Math.round(timeoutMs / 1000)} s its control plane still watches ${left[0]!.cluster}`);
    }
    await sleep(500, undefined, { signal });
  }
  await sleep(SETTLED_MS, undefined, { signal });
}

interface Registries {
  readonly registries: readonly { readonly cluster: string }[];
}

async function listIfServed(client: KubeClient, type: ResourceType, labelSelector?: string): Promise<KubeObject[]> {
  try {
    return (await client.list(type, { labelSelector })).items;
  } catch (error) {
    if (error instanceof KubeError && error.code === 404) return [];
    throw error;
  }
}
