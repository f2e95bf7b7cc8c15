// SPDX-License-Identifier: Apache-2.0
// DestinationRules as they are in force for a client. Those of one namespace for one host are one: the parts of all of
// them, and the policy of the oldest that has one.
import type { DestinationRule, LocalityLbSetting, Subset, TrafficPolicy } from '../api/destination-rule.ts';
import type { ObjectRef } from '../api/diagnostics.ts';
import { selects } from '../api/kubernetes.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { type HostTable, isExported } from './hosts.ts';

export interface DestinationPolicy {
  /** The oldest of the rules. */
  readonly ref: ObjectRef;
  readonly namespace: string;
  readonly trafficPolicy: TrafficPolicy | undefined;
  /** The rule that it is written in. */
  readonly policyRef: ObjectRef;
  readonly subsets: readonly PolicySubset[];
  /** For some clients of its namespace only, by their labels. */
  readonly selective: boolean;
  /** No other namespace than its own sees it. */
  readonly isPrivate: boolean;
}

export interface PolicySubset extends Subset {
  /** The rule that it is written in, and the place. */
  readonly origin: { readonly object: ObjectRef; readonly field: string };
}

export type PolicyTable = HostTable<DestinationPolicy>;

export interface PolicyClient {
  readonly namespace: string;
  /** Those that a rule asks for at least. */
  readonly labels: Readonly<Record<string, string>>;
}

/** The same rules make the very same policies, for whichever client. */
export class PolicyMemo {
  readonly ofGroup = new IdentityMemo<DestinationPolicy>();
  readonly ofVisible = new IdentityMemo<readonly DestinationPolicy[]>();
}

/** What is in force of the rules for one host, which must come oldest first. undefined: the client sees none. */
export function policiesOfHost(
  rules: readonly DestinationRule[],
  client: PolicyClient,
  rootNamespace: string,
  cache: PolicyMemo,
): readonly DestinationPolicy[] | undefined {
  const visible = rules.filter((rule) => isFor(rule, client));
  if (visible.length === 0) return undefined;
  return cache.ofVisible.get(visible, '', () => {
    const groups = Map.groupBy(visible, (rule) => groupKey(rule, rootNamespace));
    const policies = [...groups.values()].map((group) => cache.ofGroup.get(group, '', () => mergeRules(group)));
    // Those for this client in particular come first.
    return policies.sort((a, b) => Number(b.selective) - Number(a.selective));
  });
}

/** Rules for one host with equal keys are one. Those of the root namespace for itself are no part of those for all. */
export function groupKey(rule: DestinationRule, rootNamespace: string): string {
  const { workloadSelector } = rule.spec;
  const { namespace } = rule.ref;
  const selector = workloadSelector === undefined ? undefined : Object.entries(workloadSelector.matchLabels);
  return JSON.stringify([namespace, namespace === rootNamespace && isPrivate(rule), selector]);
}

function isFor(rule: DestinationRule, client: PolicyClient): boolean {
  const { exportTo, workloadSelector } = rule.spec;
  if (workloadSelector === undefined) return isExported(exportTo, rule.ref.namespace, client.namespace);
  return rule.ref.namespace === client.namespace && selects(workloadSelector.matchLabels, client.labels);
}

function isPrivate({ spec, ref }: DestinationRule): boolean {
  if (spec.workloadSelector !== undefined) return true;
  return spec.exportTo.every((scope) => scope === '.' || scope === ref.namespace);
}

function mergeRules(rules: readonly DestinationRule[]): DestinationPolicy {
  const [first] = rules as [DestinationRule];
  const subsets = new Map<string, PolicySubset>();
  for (const { spec, ref } of rules) {
    spec.subsets.forEach((subset, i) => {
      if (subsets.has(subset.name)) return;
      subsets.set(subset.name, { ...subset, origin: { object: ref, field: `spec.subsets[${i}]` } });
    });
  }
  const ruling = rules.find(({ spec }) => spec.trafficPolicy !== undefined);
  return {
    ref: first.ref,
    namespace: first.ref.namespace,
    trafficPolicy: ruling?.spec.trafficPolicy,
    policyRef: (ruling ?? first).ref,
    subsets: [...subsets.values()],
    selective: first.spec.workloadSelector !== undefined,
    isPrivate: rules.every(isPrivate),
  };
}

/** Labels that rules of a namespace ask their clients for, sorted. */
export function selectorLabels(rules: readonly DestinationRule[], namespace: string): readonly string[] {
  const own = rules.filter(({ spec, ref }) => spec.workloadSelector !== undefined && ref.namespace === namespace);
  return [...new Set(own.flatMap(({ spec }) => Object.keys(spec.workloadSelector!.matchLabels)))].sort();
}

export function isSelective({ spec }: DestinationRule): boolean {
  return spec.workloadSelector !== undefined;
}

/** It asks for labels to compare endpoints with clients by. */
export function comparesLabels(rule: DestinationRule): boolean {
  return prioritiesOf(rule).length > 0;
}

/** Labels by which failover compares endpoints with clients, sorted. */
export function comparedLabels(
  rules: readonly DestinationRule[],
  mesh: LocalityLbSetting | undefined,
): readonly string[] {
  const asked = [...(mesh?.failoverPriority ?? []), ...rules.flatMap(prioritiesOf)];
  // NAME=VALUE asks the client for nothing.
  return [...new Set(asked.filter((label) => !label.includes('=')))].sort();
}

function prioritiesOf({ spec }: DestinationRule): readonly string[] {
  const policies = [spec.trafficPolicy, ...spec.subsets.map((subset) => subset.trafficPolicy)];
  return policies
    .flatMap((policy) => [policy, ...(policy?.portLevelSettings ?? [])])
    .flatMap((policy) => policy?.loadBalancer?.localityLbSetting?.failoverPriority ?? []);
}
