// SPDX-License-Identifier: Apache-2.0
// Which object a decision comes from, with the line where its text is known.
import { DERIVED_ANNOTATION } from '../api/export-names.ts';
import type { RuleRef } from '../envoy/rule-metadata.ts';
import type { Origin } from '../intent/origin.ts';
import type { KubeObject } from '../kube/types.ts';
import type { Mesh, MeshCluster } from './mesh.ts';
import type { Why } from './path.ts';

/** @param field nothing: the object as a whole */
export function whyOf(
  mesh: Mesh,
  cluster: string,
  { apiVersion, kind, metadata: { namespace = '', name = '' } }: Pick<KubeObject, 'apiVersion' | 'kind' | 'metadata'>,
  field?: string,
): Why {
  const seen = mesh.object(cluster, kind, namespace, name);
  const line = seen?.locate?.(field ?? '');
  const [made] = seen?.object.metadata.annotations?.[DERIVED_ANNOTATION]?.split(';') ?? [];
  return {
    cluster,
    apiVersion,
    kind,
    namespace,
    name,
    ...(field !== undefined && field !== '' && { field }),
    ...(made !== undefined && { madeOf: made }),
    ...(seen?.file !== undefined && { file: seen.file }),
    ...(line !== undefined && { line }),
  };
}

/** Rules are of the cluster with the control plane; a Service may be of any that it watches. */
export function whyOfOrigin(mesh: Mesh, at: MeshCluster, { object, field }: Origin): Why {
  const { apiVersion, kind, namespace, name } = object;
  const ref = { apiVersion, kind, metadata: { namespace, name } };
  return whyOf(mesh, ownerOf(mesh, at, object), ref, field);
}

function ownerOf(mesh: Mesh, { plane, id }: MeshCluster, { kind, namespace, name, cluster }: Origin['object']): string {
  const has = (clusterId: string) => mesh.object(clusterId, kind, namespace, name) !== undefined;
  // The nearest that has it: a merged Service names one of its clusters only.
  const candidates = [id, plane.members.get(cluster ?? ''), plane.id, ...plane.members.values()];
  return candidates.find((each) => each !== undefined && has(each)) ?? plane.id;
}

const CONFIG = /^\/apis\/(.+)\/namespaces\/(.+)\/virtual-service\/(.+)$/;

export function whyOfRule(mesh: Mesh, at: MeshCluster, { config, field }: RuleRef): Why {
  const [, apiVersion = '', namespace = '', name = ''] = CONFIG.exec(config) ?? [];
  return whyOfOrigin(mesh, at, { object: { apiVersion, kind: 'VirtualService', namespace, name }, field });
}

/** `VirtualService default/reviews` */
export function nameOf({ kind, namespace, name }: Pick<Why, 'kind' | 'namespace' | 'name'>): string {
  return namespace === '' ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
}
