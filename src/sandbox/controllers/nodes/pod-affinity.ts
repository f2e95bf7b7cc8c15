// SPDX-License-Identifier: Apache-2.0
// Where pods want to be together, apart, or evenly spread: the required rules only. Pure.
// https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/#inter-pod-affinity-and-anti-affinity
// https://kubernetes.io/docs/concepts/scheduling-eviction/topology-spread-constraints/
import { type Labels, matchesSelector } from '../../../kube/label-selector.ts';
import type { Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from '../objects.ts';
import { type Misfit, matchesNode } from './node-fit.ts';

export interface Neighbourhood {
  readonly nodes: ReadonlyMap<string, Node>;
  /** Every pod that is bound to a node and has not ended. */
  readonly placed: readonly Pod[];
  readonly namespaceLabels: (namespace: string) => Labels | undefined;
}

export function affinityMisfit(pod: Pod, node: Node, around: Neighbourhood): Misfit | undefined {
  if (breaksSpread(pod, node, around)) {
    return { reason: "node(s) didn't match pod topology spread constraints", isFinal: false };
  }
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  const together = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  if (!together.every((term) => hasCompany(term, pod, node, around))) {
    return { reason: "node(s) didn't match pod affinity rules", isFinal: true };
  }
  const apart = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  if (apart.some((term) => neighbours(term, pod, node, around).length > 0)) {
    return { reason: "node(s) didn't match pod anti-affinity rules", isFinal: false };
  }
  const isUnwanted = around.placed.some((other) =>
    (other.spec.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []).some(
      (term) => means(term, other, pod, around) && areTogether(term.topologyKey, other, node, around),
    ),
  );
  return isUnwanted
    ? { reason: "node(s) didn't satisfy existing pods anti-affinity rules", isFinal: false }
    : undefined;
}

/** The first of a group that wants to be together finds nobody: it may go anywhere. */
function hasCompany(term: PodAffinityTerm, pod: Pod, node: Node, around: Neighbourhood): boolean {
  if (node.metadata.labels?.[term.topologyKey] === undefined) return false;
  if (neighbours(term, pod, node, around).length > 0) return true;
  return means(term, pod, pod, around) && !around.placed.some((other) => means(term, pod, other, around));
}

/** The pods that `term` of `pod` speaks of and that are in the same domain as `node`. */
function neighbours(term: PodAffinityTerm, pod: Pod, node: Node, around: Neighbourhood): Pod[] {
  return around.placed.filter(
    (other) => means(term, pod, other, around) && areTogether(term.topologyKey, other, node, around),
  );
}

function means(term: PodAffinityTerm, owner: Pod, other: Pod, around: Neighbourhood): boolean {
  if (!matchesSelector(term.labelSelector, other.metadata.labels)) return false;
  const { namespace = '' } = other.metadata;
  const listed = term.namespaces ?? [];
  if (listed.length === 0 && term.namespaceSelector === undefined) return namespace === owner.metadata.namespace;
  return listed.includes(namespace) || matchesSelector(term.namespaceSelector, around.namespaceLabels(namespace));
}

function areTogether(key: string, pod: Pod, node: Node, around: Neighbourhood): boolean {
  const domain = node.metadata.labels?.[key];
  return domain !== undefined && domainOf(key, pod, around) === domain;
}

function domainOf(key: string, pod: Pod, around: Neighbourhood): string | undefined {
  return around.nodes.get(pod.spec.nodeName ?? '')?.metadata.labels?.[key];
}

function breaksSpread(pod: Pod, node: Node, around: Neighbourhood): boolean {
  return (pod.spec.topologySpreadConstraints ?? []).some(
    (rule) => rule.whenUnsatisfiable === 'DoNotSchedule' && isSkewed(rule, pod, node, around),
  );
}

function isSkewed(rule: TopologySpreadConstraint, pod: Pod, node: Node, around: Neighbourhood): boolean {
  const own = node.metadata.labels?.[rule.topologyKey];
  if (own === undefined) return true;
  const counts = new Map<string, number>();
  for (const candidate of around.nodes.values()) {
    const domain = candidate.metadata.labels?.[rule.topologyKey];
    if (domain !== undefined && matchesNode(pod, candidate)) counts.set(domain, 0);
  }
  for (const other of around.placed) {
    if (other.metadata.namespace !== pod.metadata.namespace || other.metadata.deletionTimestamp !== undefined) continue;
    const domain = domainOf(rule.topologyKey, other, around);
    if (domain === undefined || !counts.has(domain) || !matchesSelector(rule.labelSelector, other.metadata.labels))
      continue;
    counts.set(domain, (counts.get(domain) ?? 0) + 1);
  }
  const least = counts.size < (rule.minDomains ?? 1) ? 0 : Math.min(...counts.values());
  const self = matchesSelector(rule.labelSelector, pod.metadata.labels) ? 1 : 0;
  return (counts.get(own) ?? 0) + self - least > rule.maxSkew;
}
