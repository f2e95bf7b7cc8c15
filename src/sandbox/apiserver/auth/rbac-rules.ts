// SPDX-License-Identifier: Apache-2.0
// RBAC rules as data: whether one allows a request, and whether a set of them covers another.
// https://kubernetes.io/docs/reference/access-authn-authz/rbac/
import type { Attributes } from '../seams.ts';

export interface PolicyRule {
  readonly verbs?: readonly string[];
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
}

export function ruleAllows(rule: PolicyRule, request: Attributes): boolean {
  if (!includesOrAll(rule.verbs, request.verb)) return false;
  if (!request.isResource) return pathMatches(rule.nonResourceURLs, request.path);
  return (
    includesOrAll(rule.apiGroups, request.group) &&
    resourceMatches(rule.resources, request.resource, request.subresource) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(request.name))
  );
}

function includesOrAll(values: readonly string[] | undefined, wanted: string): boolean {
  return values !== undefined && (values.includes('*') || values.includes(wanted));
}

// 'pods', 'pods/log', '*' (everything with its subresources), '*/scale' (that subresource of everything).
function resourceMatches(resources: readonly string[] | undefined, resource: string, subresource: string): boolean {
  if (!resources) return false;
  if (resources.includes('*')) return true;
  if (subresource === '') return resources.includes(resource);
  return resources.includes(`${resource}/${subresource}`) || resources.includes(`*/${subresource}`);
}

function pathMatches(urls: readonly string[] | undefined, path: string): boolean {
  return (urls ?? []).some(
    (url) => url === '*' || url === path || (url.endsWith('*') && path.startsWith(url.slice(0, -1))),
  );
}

/**
 * The parts of `wanted` that `held` does not cover, one rule for each group, resource and name, sorted as text: what a
 * user who may not escalate would give away without having it.
 */
export function uncoveredRules(held: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  const missing = wanted.flatMap(breakDown).filter((part) => !held.some((rule) => covers(rule, part)));
  const merged = new Map<string, PolicyRule>();
  for (const part of missing) {
    const key = JSON.stringify([part.apiGroups, part.resources, part.resourceNames, part.nonResourceURLs]);
    const known = merged.get(key);
    merged.set(key, known ? { ...known, verbs: [...(known.verbs ?? []), ...(part.verbs ?? [])] } : part);
  }
  return [...merged.values()].sort((a, b) => compareText(formatRule(a), formatRule(b)));
}

/** One rule per verb, group, resource and name. */
function breakDown(rule: PolicyRule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  for (const group of rule.apiGroups ?? []) {
    for (const resource of rule.resources ?? []) {
      for (const verb of rule.verbs ?? []) {
        const part = { verbs: [verb], apiGroups: [group], resources: [resource] };
        if (!rule.resourceNames?.length) parts.push(part);
        else for (const name of rule.resourceNames) parts.push({ ...part, resourceNames: [name] });
      }
    }
  }
  for (const url of rule.nonResourceURLs ?? []) {
    for (const verb of rule.verbs ?? []) parts.push({ verbs: [verb], nonResourceURLs: [url] });
  }
  return parts;
}

/** Whether `rule` allows everything that the broken-down `part` does. */
function covers(rule: PolicyRule, part: PolicyRule): boolean {
  if (!includesOrAll(rule.verbs, part.verbs?.[0] ?? '')) return false;
  const url = part.nonResourceURLs?.[0];
  if (url !== undefined) return pathMatches(rule.nonResourceURLs, url);
  const [resource = '', subresource = ''] = (part.resources?.[0] ?? '').split('/');
  const name = part.resourceNames?.[0];
  return (
    includesOrAll(rule.apiGroups, part.apiGroups?.[0] ?? '') &&
    resourceMatches(rule.resources, resource, subresource) &&
    (!rule.resourceNames?.length || (name !== undefined && rule.resourceNames.includes(name)))
  );
}

/** `{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}`, as the real server writes it. */
export function formatRule(rule: PolicyRule): string {
  const list = (values: readonly string[]) => `[${values.map((value) => JSON.stringify(value)).join(' ')}]`;
  const parts: string[] = [];
  if (rule.apiGroups?.length) parts.push(`APIGroups:${list(rule.apiGroups)}`);
  if (rule.resources?.length) parts.push(`Resources:${list(rule.resources)}`);
  if (rule.resourceNames?.length) parts.push(`ResourceNames:${list(rule.resourceNames)}`);
  if (rule.nonResourceURLs?.length) parts.push(`NonResourceURLs:${list(rule.nonResourceURLs)}`);
  if (rule.verbs?.length) parts.push(`Verbs:${list(rule.verbs)}`);
  return `{${parts.join(', ')}}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
