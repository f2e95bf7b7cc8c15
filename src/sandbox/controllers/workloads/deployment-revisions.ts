// SPDX-License-Identifier: Apache-2.0
// The ReplicaSets of a Deployment: which one has the current template, how a new one is made, what its annotations say.
import type { LabelSelector } from '../../../kube/label-selector.ts';
import { DEPLOYMENTS } from '../../../kube/resources.ts';
import type { Deployment, ReplicaSet } from '../objects.ts';
import { ownerReferenceTo } from '../ownership.ts';
import type { Bounds, Share } from './rollout-plan.ts';
import { HASH_LABEL, hashTemplate, isSameTemplate } from './template-hash.ts';

const PREFIX = 'deployment.kubernetes.io/';
export const REVISION = `${PREFIX}revision`;
const REVISION_HISTORY = `${PREFIX}revision-history`;
const DESIRED = `${PREFIX}desired-replicas`;
const MAX = `${PREFIX}max-replicas`;
/** Annotations of the Deployment that say nothing about a revision. */
const NOT_COPIED = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  REVISION_HISTORY,
  DESIRED,
  MAX,
]);

/** The oldest ReplicaSet with the Deployment's template; the others are old. */
export function splitByTemplate(
  deployment: Deployment,
  all: readonly ReplicaSet[],
): { fresh: ReplicaSet | undefined; old: ReplicaSet[] } {
  const oldestFirst = [...all].sort((a, b) => createdAt(a) - createdAt(b));
  const fresh = oldestFirst.find((each) => isSameTemplate(each.spec.template, deployment.spec.template));
  return { fresh, old: oldestFirst.filter((each) => each !== fresh) };
}

export function buildReplicaSet(
  deployment: Deployment,
  old: readonly ReplicaSet[],
  replicas: number,
  bounds: Bounds,
): ReplicaSet {
  const { template, selector, minReadySeconds } = deployment.spec;
  const hash = hashTemplate(template, deployment.status?.collisionCount ?? 0);
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${deployment.metadata.name}-${hash}`,
      namespace: deployment.metadata.namespace ?? '',
      labels,
      annotations: annotate(deployment, undefined, old, bounds),
      ownerReferences: [ownerReferenceTo(DEPLOYMENTS, deployment)],
    },
    spec: {
      replicas,
      ...(minReadySeconds ? { minReadySeconds } : {}),
      selector: withHash(selector, hash),
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  };
}

/** What the annotations of the current ReplicaSet (`fresh`; undefined: of one to be made) should be. */
export function annotate(
  deployment: Deployment,
  fresh: ReplicaSet | undefined,
  old: readonly ReplicaSet[],
  bounds: Bounds,
): Record<string, string> {
  const annotations: Record<string, string> = { ...fresh?.metadata.annotations };
  for (const [name, value] of Object.entries(deployment.metadata.annotations ?? {})) {
    if (!NOT_COPIED.has(name)) annotations[name] = value;
  }
  const revision = Math.max(0, ...old.map(revisionOf)) + 1;
  const before = fresh ? revisionOf(fresh) : 0;
  if (before < revision) {
    annotations[REVISION] = String(revision);
    if (before > 0) {
      const history = annotations[REVISION_HISTORY];
      annotations[REVISION_HISTORY] = history ? `${history},${before}` : String(before);
    }
  }
  return { ...annotations, ...sizeAnnotations(bounds) };
}

export function sizeAnnotations(bounds: Bounds): Record<string, string> {
  return { [DESIRED]: String(bounds.desired), [MAX]: String(bounds.desired + bounds.surge) };
}

/** True when the Deployment was scaled since the ReplicaSet was last sized. */
export function isSizedFor(replicaSet: ReplicaSet, desired: number): boolean {
  const noted = replicaSet.metadata.annotations?.[DESIRED];
  return noted === undefined || Number(noted) === desired;
}

export function revisionOf(object: ReplicaSet | Deployment): number {
  return Number(object.metadata.annotations?.[REVISION] ?? 0) || 0;
}

export function shareOf(replicaSet: ReplicaSet): Share {
  return {
    name: replicaSet.metadata.name ?? '',
    replicas: replicaSet.spec.replicas ?? 0,
    available: replicaSet.status?.availableReplicas ?? 0,
    createdAt: createdAt(replicaSet),
    maxWhenSet: Number(replicaSet.metadata.annotations?.[MAX] ?? 0) || 0,
  };
}

/** Old ReplicaSets without pods, beyond the history limit; the oldest revisions go. */
export function selectSurplusHistory(deployment: Deployment, old: readonly ReplicaSet[]): ReplicaSet[] {
  const limit = deployment.spec.revisionHistoryLimit;
  if (limit === undefined) return [];
  const removable = old.filter(
    ({ metadata, spec, status }) =>
      metadata.deletionTimestamp === undefined &&
      spec.replicas === 0 &&
      (status?.replicas ?? 0) === 0 &&
      (status?.observedGeneration ?? 0) >= (metadata.generation ?? 0),
  );
  const surplus = old.filter(({ metadata }) => metadata.deletionTimestamp === undefined).length - limit;
  if (surplus <= 0) return [];
  return removable.sort((a, b) => revisionOf(a) - revisionOf(b)).slice(0, surplus);
}

function withHash(selector: LabelSelector, hash: string): LabelSelector {
  return { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } };
}

function createdAt(object: ReplicaSet): number {
  return Date.parse(object.metadata.creationTimestamp ?? '') || 0;
}
