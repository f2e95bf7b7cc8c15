// SPDX-License-Identifier: Apache-2.0
import { KINDS } from '../api/kinds.ts';
import { CONFIG_MAPS, ENDPOINT_SLICES, NODES, PODS, SERVICES } from '../kube/resources.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';
import type { WatchedResource } from '../sources/kube.ts';

export const ISTIO_NAMESPACE = 'istio-system';

/** Everything that the mesh's model is made of, in one cluster. */
export function meshResources(): WatchedResource[] {
  return [
    ...[SERVICES, ENDPOINT_SLICES, PODS].map((type) => ({ type })),
    { type: CONFIG_MAPS, namespace: ISTIO_NAMESPACE },
    ...meshKinds().map((type) => ({ type })),
    // Where pods are. What another cluster's older role does not let us see, is not known.
    { type: NODES, keep: labelsAlone, optional: true },
  ];
}

/** A node's status changes every few minutes, and is of no use here. */
function labelsAlone({ apiVersion, kind, metadata }: KubeObject): KubeObject {
  const { name, uid, resourceVersion, labels } = metadata;
  return { apiVersion, kind, metadata: { name, uid, resourceVersion, labels } } as KubeObject;
}

/** The mesh's own kinds, each in the version that is stored: others would be converted from it. */
function meshKinds(): ResourceType[] {
  return KINDS.map(({ group, versions, plural, kind }) => ({
    group,
    version: versions.at(-1) ?? 'v1',
    resource: plural,
    kind,
    namespaced: true,
  }));
}

/** The resource behind a mesh kind; undefined for every other kind. */
export function meshType(kind: string): ResourceType | undefined {
  return meshKinds().find((type) => type.kind === kind);
}
