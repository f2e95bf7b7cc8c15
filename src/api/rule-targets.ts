// SPDX-License-Identifier: Apache-2.0
// Where a rule holds besides its own cluster (docs/rules-written-once.md).
import type { KubeObject } from '../kube/types.ts';
import type { Report } from './report.ts';

/** On a VirtualService or DestinationRule that a person wrote: `cluster2,cluster3`, or `*` for every peer. */
export const CLUSTERS_ANNOTATION = 'isthmus.io/clusters';

const CLUSTER_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

export type Targets =
  | { readonly kind: 'all' }
  | { readonly kind: 'named'; readonly clusters: readonly string[] }
  | { readonly kind: 'invalid'; readonly message: string; readonly cure: string };

/** The value of the annotation. */
export function parseTargets(text: string): Targets {
  const names = [...new Set(text.split(',').map((name) => name.trim()))].filter((name) => name !== '');
  if (names.includes('*')) return { kind: 'all' };
  const cure = `write ${CLUSTERS_ANNOTATION}: "cluster2,cluster3", or "*" for every peer`;
  if (names.length === 0) return { kind: 'invalid', message: `${CLUSTERS_ANNOTATION} names no cluster`, cure };
  const wrong = names.find((name) => !CLUSTER_NAME.test(name));
  if (wrong === undefined) return { kind: 'named', clusters: names };
  const message = `${CLUSTERS_ANNOTATION}: ${JSON.stringify(wrong)} cannot be a cluster’s name`;
  return { kind: 'invalid', message, cure };
}

/** A rule whose annotation cannot be used is one like any other in its own cluster, and in none besides. */
export function reportTargets({ metadata }: KubeObject, report: Report): void {
  const said = metadata.annotations?.[CLUSTERS_ANNOTATION];
  const targets = said === undefined ? undefined : parseTargets(said);
  if (targets?.kind !== 'invalid') return;
  const message = `${targets.message}, so that the rule is in force here alone`;
  report.add('ISM0006', `metadata.annotations["${CLUSTERS_ANNOTATION}"]`, message, targets.cure, 'warning');
}
