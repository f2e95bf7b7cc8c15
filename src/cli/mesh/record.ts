// SPDX-License-Identifier: Apache-2.0
// What a cluster knows of the mesh that it was put into: so that one which leaves the file is noticed, and found.
import { MANAGED_LABELS } from '../../install/manifests/metadata.ts';
import { ISTIO_NAMESPACE } from '../../install/values/values.ts';
import type { KubeObject, ObjectMeta } from '../../kube/types.ts';
import type { ClusterSpec } from './mesh-shape.ts';

export const RECORD = 'isthmus-mesh';
/** On what `mesh up` makes besides the installation: which mesh it is for. */
export const MESH_LABEL = 'isthmus.io/mesh';
/** On what is there for the sake of another cluster: its name. */
export const FOR_CLUSTER_LABEL = 'isthmus.io/for-cluster';

export interface RecordedCluster {
  readonly name: string;
  /** In the kubeconfig of who put it into the mesh. */
  readonly context: string;
  readonly servedBy?: string;
}

export interface MeshRecord {
  readonly mesh: string;
  /** The cluster's own name. */
  readonly cluster: string;
  readonly clusters: readonly RecordedCluster[];
}

export function buildRecord(mesh: string, cluster: string, clusters: readonly RecordedCluster[]): KubeObject {
  const sorted = [...clusters].sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: markMade({ name: RECORD, namespace: ISTIO_NAMESPACE }, mesh),
    data: { mesh, cluster, clusters: JSON.stringify(sorted, undefined, 2) },
  };
}

/** undefined where there is none, or none that can be read. */
export function readRecord(object: KubeObject | undefined): MeshRecord | undefined {
  const { mesh, cluster, clusters } = (object?.['data'] ?? {}) as Record<string, string>;
  if (mesh === undefined || cluster === undefined || clusters === undefined) return undefined;
  try {
    return { mesh, cluster, clusters: JSON.parse(clusters) as RecordedCluster[] };
  } catch {
    return undefined;
  }
}

export function recordOf({ name, controlPlane }: ClusterSpec, context: string): RecordedCluster {
  return { name, context, ...(controlPlane.kind === 'served' && { servedBy: controlPlane.by }) };
}

export function markMade(metadata: ObjectMeta, mesh: string, forCluster?: string): ObjectMeta {
  const labels = {
    ...MANAGED_LABELS,
    [MESH_LABEL]: mesh,
    ...(forCluster !== undefined && { [FOR_CLUSTER_LABEL]: forCluster }),
    ...metadata.labels,
  };
  return { ...metadata, labels };
}
