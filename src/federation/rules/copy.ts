// SPDX-License-Identifier: Apache-2.0
import { MANAGED_BY, MANAGED_BY_LABEL } from '../../api/export-names.ts';
import type { KubeObject } from '../../kube/types.ts';
import {
  GENERATION_ANNOTATION,
  REVISION_ANNOTATION,
  revisionOf,
  SOURCE_ANNOTATION,
  SOURCE_CLUSTER_LABEL,
} from './names.ts';

/**
 * The copy as it has to be. Names keep their meaning: it lies in the namespace of the same name. Labels and annotations stay
 * at home: those of tools (Argo CD, Helm) would have them believe that it is theirs, and revisions of a control plane have
 * names in their own cluster only.
 */
export function buildCopy(source: KubeObject, cluster: string): KubeObject {
  const { name = '', namespace = '', generation } = source.metadata;
  return {
    apiVersion: source.apiVersion,
    kind: source.kind,
    metadata: {
      name,
      namespace,
      labels: { [MANAGED_BY_LABEL]: MANAGED_BY, [SOURCE_CLUSTER_LABEL]: cluster },
      annotations: {
        [SOURCE_ANNOTATION]: `${cluster}/${namespace}/${name}`,
        [REVISION_ANNOTATION]: revisionOf(source),
        ...(generation === undefined ? {} : { [GENERATION_ANNOTATION]: String(generation) }),
      },
    },
    spec: source['spec'] ?? {},
  };
}

/** Its spec is not that of the revision that it names: somebody has changed it, or the API server did. */
export function isEdited(copy: KubeObject): boolean {
  return revisionOf(copy) !== copy.metadata.annotations?.[REVISION_ANNOTATION];
}
