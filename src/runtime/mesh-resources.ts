// SPDX-License-Identifier: Apache-2.0
import { EXPORTED_SERVICE } from '../api/exported-service.ts';
import { resourceOf } from '../api/kind.ts';
import { KINDS, MCS_KINDS } from '../api/kinds.ts';
import { CONFIG_MAPS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, SERVICES } from '../kube/resources.ts';
import type { KubeObject, ResourceType } from '../kube/types.ts';
import type { WatchedResource } from '../sources/kube.ts';

export const ISTIO_NAMESPACE = 'istio-system';

/** Everything that the mesh's model is made of, in one cluster. */
export function meshResources(): WatchedResource[] {
  return [
    ...[SERVICES, ENDPOINT_SLICES, PODS].map((type) => ({ type })),
    { type: CONFIG_MAPS, namespace: ISTIO_NAMESPACE },
    ...meshKinds().map((type) => ({ type, optional: type.group === EXPORTED_SERVICE.group })),
    // What clusters tell one another: an installation before this one did not have it.
    ...MCS_KINDS.map((kind) => ({ type: resourceOf(kind), optional: true })),
    { type: NAMESPACES },
    // Where pods are. What another cluster's older role does not let us see, is not known.
    { type: NODES, keep: placeAlone, optional: true },
  ];
}

/** A node's status changes every few minutes; of use here is where it is, and how it is reached. */
function placeAlone({ apiVersion, kind, metadata, status }: KubeObject): KubeObject {
  const { name, uid, resourceVersion, labels } = metadata;
  const { addresses } = (status ?? {}) as { addresses?: unknown };
  return { apiVersion, kind, metadata: { name, uid, resourceVersion, labels }, status: { addresses } } as KubeObject;
}

/** The mesh's own kinds, each in the version that is stored: others would be converted from it. */
function meshKinds(): ResourceType[] {
  return KINDS.map(resourceOf);
}

/** The resource behind a mesh kind; undefined for every other kind. */
export function meshType(kind: string): ResourceType | undefined {
  return meshKinds().find((type) => type.kind === kind);
}
