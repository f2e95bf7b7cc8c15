// SPDX-License-Identifier: Apache-2.0
import { type Cluster, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { PatchContext } from '../../intent/patch-types.ts';
import { MESH_TLS, TLS } from '../tls.ts';
import { mergeSocket } from './listeners.ts';
import { merged } from './merge.ts';
import { type Findings, type Patch, type PatchSet, replacesLists } from './patch-set.ts';

/** undefined: it is taken out. */
export function patchCluster(
  cluster: Cluster,
  patches: PatchSet,
  context: PatchContext,
  findings: Findings,
): Cluster | undefined {
  let patched = cluster;
  for (const patch of patches.of('CLUSTER', context)) {
    if (patch.intent.operation === 'ADD' || !fitsCluster(cluster.name, patch)) continue;
    findings.note(patch);
    if (patch.intent.operation === 'REMOVE') return undefined;
    patched = withoutCatchAll(mergeCluster(patched, patch));
  }
  return patched;
}

/**
 * The choice that fits all endpoints, with which Istio's lists end, is the cluster's own socket: as a choice it would go
 * before those that fit what a locality says of its endpoints (endpoints.ts).
 */
function withoutCatchAll(cluster: Cluster): Cluster {
  const choices = cluster.transportSocketMatches;
  const last = choices.findIndex(({ match }) => Object.keys(match ?? {}).length === 0);
  if (last < 0) return cluster;
  const { transportSocket = cluster.transportSocket } = choices[last]!;
  return { ...cluster, transportSocketMatches: choices.slice(0, last), ...(transportSocket && { transportSocket }) };
}

/** A cluster has one socket, or one for each kind of endpoint; a patch's is merged into the one of its name. */
function mergeCluster(cluster: Cluster, patch: Patch<'CLUSTER'>): Cluster {
  const value = patch.value();
  const socket = value.transportSocket;
  if (socket !== undefined) {
    const choices = cluster.transportSocketMatches.map((match) => match.transportSocket);
    const known = [cluster.transportSocket, ...choices].flatMap((candidate) => candidate ?? []);
    // As everybody knows it.
    for (const each of known) if (each.name === MESH_TLS) each.name = TLS;
    const own = known.find(({ name }) => name === socket.name);
    delete value.transportSocket;
    if (!mergeSocket(own, socket) && choices.length === 0) cluster.transportSocket = socket;
  }
  return merged(ClusterSchema, cluster, value, replacesLists(patch));
}

function fitsCluster(name: string, { intent }: Patch): boolean {
  const match = intent.match.cluster;
  if (match === undefined) return true;
  if (match.name !== '') return match.name === name;
  const [, port = '', subset = '', host = ''] = name.split('|');
  return (
    (match.subset === '' || match.subset === subset) &&
    (match.service === '' || match.service === host) &&
    (match.portNumber === 0 || match.portNumber === Number(port))
  );
}
