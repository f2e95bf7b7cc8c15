// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../../kube/types.ts';
import {
  GENERATION_ANNOTATION,
  MANAGED_BY_LABEL,
  MANAGER,
  REVISION_ANNOTATION,
  revisionOf,
  SOURCE_ANNOTATION,
  SOURCE_CLUSTER_LABEL,
} from './names.ts';

/**
 * The copy as it has to be. Names keep their meaning: it lies in the namespace of the same name. Of labels and annotations
 * only the mesh's go with it: those of tools (Argo CD, Helm) would have them believe that it is theirs.
 */
export function buildCopy(source: KubeObject, cluster: string): KubeObject {
  const { name = '', namespace = '', labels, annotations, generation } = source.metadata;
  return {
    apiVersion: source.apiVersion,
    kind: source.kind,
    metadata: {
      name,
      namespace,
      labels: { ...ofMesh(labels), [MANAGED_BY_LABEL]: MANAGER, [SOURCE_CLUSTER_LABEL]: cluster },
      annotations: {
        ...ofMesh(annotations),
        [SOURCE_ANNOTATION]: `${cluster}/${namespace}/${name}`,
        [REVISION_ANNOTATION]: revisionOf(source),
        ...(generation === undefined ? {} : { [GENERATION_ANNOTATION]: String(generation) }),
      },
    },
    spec: source['spec'] ?? {},
  };
}

/** Whether `existing` says what `wanted` does; what others have added to its metadata does not count. */
export function isInStep(existing: KubeObject, wanted: KubeObject): boolean {
  return isDeepStrictEqual(essenceOf(existing), essenceOf(wanted));
}

/** What to write so that `existing` says what `wanted` does, and nothing of others is lost. */
export function replacementOf(existing: KubeObject, wanted: KubeObject): KubeObject {
  const { labels, annotations, managedFields: _, ...metadata } = existing.metadata;
  const kept = (all: Readonly<Record<string, string>> | undefined) =>
    Object.fromEntries(Object.entries(all ?? {}).filter(([key]) => !isOurs(key)));
  return {
    ...existing,
    metadata: {
      ...metadata,
      labels: { ...kept(labels), ...wanted.metadata.labels },
      annotations: { ...kept(annotations), ...wanted.metadata.annotations },
    },
    spec: wanted['spec'],
  };
}

function essenceOf({ metadata, spec }: KubeObject): unknown {
  const ours = (all: Readonly<Record<string, string>> | undefined) =>
    Object.fromEntries(Object.entries(all ?? {}).filter(([key]) => isOurs(key)));
  return { labels: ours(metadata.labels), annotations: ours(metadata.annotations), spec };
}

/** `istio.io/rev`, `networking.istio.io/...`: what the mesh itself reads. */
function ofMesh(all: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(all ?? {}).filter(([key]) => /(^|\.)istio\.io\//.test(key)));
}

function isOurs(key: string): boolean {
  return key === MANAGED_BY_LABEL || /(^|\.)istio\.io\//.test(key) || /^isthmus\.io\/source/.test(key);
}
