// SPDX-License-Identifier: Apache-2.0
// The pod of one ordinal and its claims: names that stay, and what ties them together.
// https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#pod-identity
import { STATEFUL_SETS } from '../../../kube/resources.ts';
import type { OwnerReference } from '../../../kube/types.ts';
import type { Pod, PodTemplate } from '../objects.ts';
import { ownerReferenceTo } from '../ownership.ts';
import { buildPod } from '../pod-writes.ts';
import type { PersistentVolumeClaim } from '../storage/storage-objects.ts';
import { REVISION_LABEL } from './revisions.ts';
import type { StatefulSet } from './workload-objects.ts';

export function buildStatefulPod(set: StatefulSet, template: PodTemplate, revision: string, ordinal: number): Pod {
  const name = `${set.metadata.name}-${ordinal}`;
  const labels = {
    [REVISION_LABEL]: revision,
    'statefulset.kubernetes.io/pod-name': name,
    'apps.kubernetes.io/pod-index': String(ordinal),
  };
  const pod = buildPod(STATEFUL_SETS, set, template, { name }, { labels });
  const claims = (set.spec.volumeClaimTemplates ?? []).map(({ metadata }) => ({
    name: metadata.name ?? '',
    persistentVolumeClaim: { claimName: claimName(metadata.name ?? '', set, ordinal) },
  }));
  // A claim takes the place of a volume of the same name in the template.
  const others = (template.spec.volumes ?? []).filter(({ name: volume }) =>
    claims.every((claim) => claim.name !== volume),
  );
  const spec = {
    ...pod.spec,
    hostname: name,
    ...(set.spec.serviceName ? { subdomain: set.spec.serviceName } : {}),
    ...(claims.length + others.length > 0 ? { volumes: [...claims, ...others] } : {}),
  };
  return { ...pod, spec };
}

export function buildClaims(set: StatefulSet, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec.volumeClaimTemplates ?? []).map(({ metadata, spec }) => ({
    apiVersion: 'v1',
    kind: 'PersistentVolumeClaim',
    metadata: {
      name: claimName(metadata.name ?? '', set, ordinal),
      namespace: set.metadata.namespace ?? '',
      labels: { ...metadata.labels, ...set.spec.selector.matchLabels },
      ...(metadata.annotations ? { annotations: metadata.annotations } : {}),
    },
    spec,
  }));
}

function claimName(template: string, set: StatefulSet, ordinal: number): string {
  return `${template}-${set.metadata.name}-${ordinal}`;
}

/**
 * Who takes the claim along when it goes, by the set's persistentVolumeClaimRetentionPolicy: the set, the pod of an
 * ordinal that is scaled away, or nobody. References to others stay.
 * @param scaledAway the pod, when its ordinal is no longer wanted
 */
export function claimOwners(
  set: StatefulSet,
  claim: PersistentVolumeClaim,
  scaledAway: Pod | undefined,
): OwnerReference[] {
  const { whenDeleted = 'Retain', whenScaled = 'Retain' } = set.spec.persistentVolumeClaimRetentionPolicy ?? {};
  const others = (claim.metadata.ownerReferences ?? []).filter(
    ({ kind, name, uid }) => uid !== set.metadata.uid && !(kind === 'Pod' && name.startsWith(`${set.metadata.name}-`)),
  );
  if (scaledAway !== undefined && whenScaled === 'Delete') {
    const { name = '', uid = '' } = scaledAway.metadata;
    return [...others, { apiVersion: 'v1', kind: 'Pod', name, uid }];
  }
  return whenDeleted === 'Delete' ? [...others, ownerReferenceTo(STATEFUL_SETS, set)] : others;
}
