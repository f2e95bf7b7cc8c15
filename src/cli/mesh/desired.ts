// SPDX-License-Identifier: Apache-2.0
// What a cluster of the mesh is to have, step by step. The same for a plan and for carrying it out; what only another
// cluster knows (a token, an address) is handed in.
import { buildCrds } from '../../api/crds.ts';
import { EXPORT_POLICY } from '../../api/export-policy.ts';
import { buildStages, type Stage } from '../../install/manifest.ts';
import type { KubeObject } from '../../kube/types.ts';
import { buildPeerToken } from './access.ts';
import { type ClusterValues, readClusterValues } from './cluster-values.ts';
import { hasOwnPlane, type Member, peersOf } from './members.ts';
import type { Mesh } from './mesh-file.ts';
import { buildRecord, markMade, type RecordedCluster, recordOf } from './record.ts';

/** A mesh, the clusters of its file, and those that have left it and are still there. */
export interface Scene {
  readonly mesh: Mesh;
  readonly members: readonly Member[];
  /** Recorded in some cluster and not in the file. */
  readonly leaving: readonly RecordedCluster[];
  /** What there is for the sake of those that leave is removed. */
  readonly isPruning: boolean;
}

export function installation(scene: Scene, member: Member, planeAddress?: string): ClusterValues & { stages: Stage[] } {
  const read = readClusterValues(scene.mesh, member, scene.members, planeAddress);
  return { ...read, stages: buildStages(read.values, buildCrds()) };
}

/** For each peer a token, to read by what this cluster exports. */
export function peerTokens({ mesh, members }: Scene, member: Member): KubeObject[] {
  return peersOf(member, members).map(({ name }) => buildPeerToken(mesh.name, name));
}

export function exportPolicies({ mesh }: Scene, member: Member): KubeObject[] {
  if (!hasOwnPlane(member)) return [];
  return mesh.spec.exports
    .filter(({ clusters }) => clusters === undefined || clusters.includes(member.name))
    .map(({ name, spec }) => ({
      apiVersion: `${EXPORT_POLICY.group}/${EXPORT_POLICY.versions.at(-1)}`,
      kind: EXPORT_POLICY.kind,
      metadata: markMade({ name }, mesh.name),
      spec,
    }));
}

export function record({ mesh, members, leaving }: Scene, member: Member): KubeObject {
  const own = members.map(({ spec, context }) => recordOf(spec, context));
  return buildRecord(mesh.name, member.name, [...own, ...leaving]);
}
