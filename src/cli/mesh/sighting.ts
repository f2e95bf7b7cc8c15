// SPDX-License-Identifier: Apache-2.0
// What each cluster of the mesh has now. One that does not answer is told, and keeps nobody else waiting.
import { buildCrds } from '../../api/crds.ts';
import { buildStages } from '../../install/manifest.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import type { KubeClient } from '../../kube/client.ts';
import { CONFIG_MAPS, PODS, SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { findContext, readContexts } from '../find-context.ts';
import { explainClusterError } from '../install-target.ts';
import { UserError } from '../user-error.ts';
import { DNS_NAMESPACE, type DnsServer, type DnsState } from './cluster-dns.ts';
import { readClusterValues } from './cluster-values.ts';
import { type LiveObjects, readLiveObjects } from './live-objects.ts';
import { type Member, openMember, readClusterUid } from './members.ts';
import type { Mesh } from './mesh-file.ts';
import { clusterDefaults } from './mesh-shape.ts';
import { type MeshRecord, RECORD, type RecordedCluster, readRecord } from './record.ts';

export interface ClusterState {
  readonly member: Member;
  readonly uid: string;
  readonly live: LiveObjects;
  readonly record: MeshRecord | undefined;
  readonly dns: DnsState;
}

export interface Sightings {
  readonly seen: readonly ClusterState[];
  readonly unseen: readonly { readonly member: Member; readonly error: Error }[];
}

const ANSWER_MS = 10_000;

/** @throws UserError where two members are one cluster */
export async function seeClusters(mesh: Mesh, members: readonly Member[], signal: AbortSignal): Promise<Sightings> {
  const results = await Promise.all(members.map((member) => seeCluster(mesh, member, members, signal)));
  const seen = results.filter((result) => 'live' in result);
  const twice = seen.find(({ uid }, i) => seen.findIndex((other) => other.uid === uid) !== i);
  if (twice !== undefined) {
    const first = seen.find(({ uid }) => uid === twice.uid)!;
    const index = members.indexOf(twice.member);
    const field = `spec.clusters[${index}]`;
    throw new UserError(
      `${mesh.placeOf(field)}: ${field}: ${twice.member.name} and ${first.member.name} are one cluster: the contexts ` +
        `${twice.member.context} and ${first.member.context} lead to the same API server: name another context`,
      2,
    );
  }
  return { seen, unseen: results.filter((result) => 'error' in result) };
}

async function seeCluster(
  mesh: Mesh,
  member: Member,
  members: readonly Member[],
  signal: AbortSignal,
): Promise<ClusterState | { member: Member; error: Error }> {
  const values = readClusterValues(mesh, member, members).values;
  const wanted = buildStages(values, buildCrds()).flatMap((stage) => stage.objects);
  try {
    const uid = await askForUid(member, signal);
    const [live, dns] = await Promise.all([
      readLiveObjects(member.client, wanted, signal),
      readDnsState(member.client),
    ]);
    return { member, uid, live, dns, record: readRecord(live.find('ConfigMap', RECORD)) };
  } catch (error) {
    signal.throwIfAborted();
    const said = explainClusterError(error, member.client.server, 'run the same command again');
    return { member, error: said };
  }
}

/** @throws UserError where a cluster is in another mesh, or in this one under another name */
export function demandSameMesh({ name, file }: Mesh, seen: readonly ClusterState[]): void {
  for (const { member, record } of seen) {
    if (record === undefined) continue;
    if (record.mesh !== name) {
      throw new UserError(
        `cluster ${member.name} is in mesh ${record.mesh} already, and this file is of mesh ${name}: take it out of that one ` +
          `first (mesh down --cluster), or name this file’s mesh ${record.mesh}`,
      );
    }
    if (record.cluster === member.name) continue;
    throw new UserError(
      `context ${member.context} leads to the cluster that this mesh knows as ${record.cluster}, and ${file} calls it ` +
        `${member.name}: put the contexts right, or take it out first (mesh down --cluster ${record.cluster})`,
    );
  }
}

/**
 * A cluster that only records know, by a context which may mean another cluster to whoever runs this.
 * @returns an error where it is not there, or is not the one that the record means
 */
export async function seeRecorded(
  mesh: Mesh,
  recorded: RecordedCluster,
  kubeconfig: string | undefined,
  signal: AbortSignal,
): Promise<Member | UserError> {
  const { name, context } = recorded;
  try {
    findContext(context, readContexts(kubeconfig));
    const member = openMember(clusterDefaults(recorded), context, kubeconfig);
    await askForUid(member, signal);
    const own = readRecord(await member.client.get(CONFIG_MAPS, RECORD, ISTIO_NAMESPACE));
    if (own?.mesh === mesh.name && own.cluster === name) return member;
    member.client.close();
    const found = own === undefined ? 'has no mesh' : `is ${own.cluster} of mesh ${own.mesh}`;
    return new UserError(`cluster ${name}: context ${context} leads to a cluster that ${found}: it was left alone`);
  } catch (error) {
    signal.throwIfAborted();
    return new UserError(
      `cluster ${name}: ${explainClusterError(error, context, 'run the same command again').message}`,
    );
  }
}

/** One that takes connections and says nothing would hold up the others for long. */
async function askForUid(member: Member, signal: AbortSignal): Promise<string> {
  const patience = AbortSignal.timeout(ANSWER_MS);
  try {
    return await readClusterUid(member, AbortSignal.any([signal, patience]));
  } catch (error) {
    if (!patience.aborted || signal.aborted) throw error;
    const { server } = member.client;
    throw new UserError(
      `${server} has not answered for ${ANSWER_MS / 1000} s: is the cluster up, and does this machine reach it? Then run the ` +
        'same command again.',
    );
  }
}

export async function readDnsState(client: KubeClient): Promise<DnsState> {
  const [kubeDns, coreDns, pods] = await Promise.all([
    client.get(CONFIG_MAPS, 'kube-dns', DNS_NAMESPACE),
    client.get(CONFIG_MAPS, 'coredns', DNS_NAMESPACE),
    client.list(PODS, { namespace: DNS_NAMESPACE, labelSelector: 'k8s-app=kube-dns' }),
  ]);
  return { kubeDns, coreDns, running: runningServer(pods.items) };
}

function runningServer(pods: readonly KubeObject[]): DnsServer | undefined {
  const names = pods.flatMap(({ spec }) =>
    ((spec as { containers?: readonly { name: string }[] } | undefined)?.containers ?? []).map(({ name }) => name),
  );
  if (names.includes('coredns')) return 'coredns';
  return names.includes('kubedns') ? 'kube-dns' : undefined;
}

/** By which other clusters reach the gateway of one; undefined while there is none. */
export function gatewayAddress(member: Member, service: KubeObject | undefined): string | undefined {
  const { address } = member.spec.gateway;
  if (address !== undefined) return address;
  const { loadBalancer } = (service?.['status'] ?? {}) as {
    loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] };
  };
  const [first] = loadBalancer?.ingress ?? [];
  return first?.ip ?? first?.hostname;
}

export const INGRESS = 'istio-ingressgateway';

export async function readGatewayAddress(member: Member): Promise<string | undefined> {
  return gatewayAddress(member, await member.client.get(SERVICES, INGRESS, ISTIO_NAMESPACE));
}
