// SPDX-License-Identifier: Apache-2.0
// Which rules hold elsewhere, and how a copy says what it is a copy of.
import { createHash } from 'node:crypto';
import { MANAGED_BY, MANAGED_BY_LABEL } from '../../api/export-names.ts';
import { CLUSTERS_ANNOTATION, parseTargets, type Targets } from '../../api/rule-targets.ts';
import type { KubeObject } from '../../kube/types.ts';
import { isDerived } from '../derived-objects.ts';

/** On a copy. Whoever removes it makes the object their own. */
export const SOURCE_CLUSTER_LABEL = 'isthmus.io/source-cluster';
/** On a copy: CLUSTER/NAMESPACE/NAME. */
export const SOURCE_ANNOTATION = 'isthmus.io/source';
export const REVISION_ANNOTATION = 'isthmus.io/source-revision';
export const GENERATION_ANNOTATION = 'isthmus.io/source-generation';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const RULE_KINDS = new Set(['VirtualService', 'DestinationRule']);

export function isRule({ apiVersion, kind }: Pick<KubeObject, 'apiVersion' | 'kind'>): boolean {
  return RULE_KINDS.has(kind) && apiVersion.startsWith('networking.istio.io/');
}

/**
 * Ours to change and to remove. One over which a person has applied a file of theirs is no longer: they said what it has to
 * be, and will again.
 */
export function isCopy(object: KubeObject): boolean {
  const { labels, annotations } = object.metadata;
  return (
    labels?.[MANAGED_BY_LABEL] === MANAGED_BY &&
    labels[SOURCE_CLUSTER_LABEL] !== undefined &&
    annotations?.[SOURCE_ANNOTATION] !== undefined &&
    annotations[LAST_APPLIED] === undefined &&
    !isAppliedByServer(object)
  );
}

/** Where a rule is to hold besides its own cluster; undefined for one that is nobody’s business elsewhere. */
export function readTargets(object: KubeObject): Targets | undefined {
  const said = object.metadata.annotations?.[CLUSTERS_ANNOTATION];
  const isWritten = !isCopy(object) && !isDerived(object) && object.metadata.deletionTimestamp === undefined;
  return said === undefined || !isWritten ? undefined : parseTargets(said);
}

export function isAimedAt(targets: Targets | undefined, cluster: string): boolean {
  return targets?.kind === 'all' || (targets?.kind === 'named' && targets.clusters.includes(cluster));
}

/** Of what a rule says, whatever the order of its members: two rules of one revision do the same. */
export function revisionOf({ spec }: KubeObject): string {
  return createHash('sha256')
    .update(JSON.stringify(sorted(spec)))
    .digest('hex')
    .slice(0, 10);
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => [key, sorted(member)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isAppliedByServer({ metadata }: KubeObject): boolean {
  const { managedFields } = metadata as { managedFields?: readonly { operation?: string; fieldsV1?: object }[] };
  return (managedFields ?? []).some(({ operation, fieldsV1 }) => operation === 'Apply' && 'f:spec' in (fieldsV1 ?? {}));
}
