// SPDX-License-Identifier: Apache-2.0
// Which webhooks and admission policies a request is for: rules, match policy, namespace and object selectors, match
// conditions.
import type { KubeObject } from '../../../kube/types.ts';
import { compileCel, dynamicCelValue, firstLine } from '../crd/cel-environment.ts';
import { policyEnvironment } from '../crd/policy-environment.ts';
import type { AdmissionRequest, ClusterObjects, GroupVersionResource } from '../seams.ts';
import { selectorFromSpec } from '../selectors/label-selector.ts';
import { type GroupResource, notFound } from '../status.ts';
import { ADMISSION_REGISTRATION, type Webhook, type WebhookRule } from './webhook-types.ts';

const NAMESPACES: GroupResource = { group: '', resource: 'namespaces' };

/** What webhooks and policies have in common. */
export interface Matcher {
  readonly rules?: readonly WebhookRule[];
  /** Rules of what is left out in spite of `rules`. */
  readonly excluded?: readonly WebhookRule[];
  readonly matchPolicy?: 'Exact' | 'Equivalent';
  readonly namespaceSelector?: Webhook['namespaceSelector'];
  readonly objectSelector?: Webhook['objectSelector'];
}

/** The resource, among equivalents, as which the webhook wants the request; undefined when it does not want it. */
export function matchWebhook(
  webhook: Webhook,
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
): GroupVersionResource | undefined {
  // A webhook that could refuse changes of webhooks could never be repaired.
  if (request.resource.group === ADMISSION_REGISTRATION && request.resource.resource.includes('webhook'))
    return undefined;
  return matchRequest(webhook, request, object, objects);
}

/** As matchWebhook, for whatever has rules and selectors. */
export function matchRequest(
  matcher: Matcher,
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
): GroupVersionResource | undefined {
  const wanted = matchRules(matcher, request);
  if (!wanted) return undefined;
  if (!matchesNamespace(matcher, request, object, objects)) return undefined;
  return matchesObject(matcher, object, request.oldObject) ? wanted : undefined;
}

function matchRules(matcher: Matcher, request: AdmissionRequest): GroupVersionResource | undefined {
  const candidates = [request.requestResource];
  // Equivalent: a rule for deployments.v1.apps also gets what came as deployments.v1beta1.extensions.
  if (matcher.matchPolicy !== 'Exact') candidates.push(request.resource, ...request.equivalents);
  const fits = (rules: readonly WebhookRule[] | undefined, candidate: GroupVersionResource) =>
    rules?.some((rule) => ruleMatches(rule, candidate, request)) ?? false;
  if (candidates.some((candidate) => fits(matcher.excluded, candidate))) return undefined;
  return candidates.find((candidate) => fits(matcher.rules, candidate));
}

function ruleMatches(rule: WebhookRule, resource: GroupVersionResource, request: AdmissionRequest): boolean {
  const has = (values: readonly string[] | undefined, wanted: string) =>
    values !== undefined && (values.includes('*') || values.includes(wanted));
  return (
    has(rule.operations, request.operation) &&
    has(rule.apiGroups, resource.group) &&
    has(rule.apiVersions, resource.version) &&
    (!rule.resourceNames?.length || rule.resourceNames.includes(request.name)) &&
    (rule.resources ?? []).some((pattern) => resourceMatches(pattern, resource.resource, request.subresource)) &&
    scopeMatches(rule, request)
  );
}

/** 'pods' is not 'pods/status'; a star stands for all resources or all subresources. */
function resourceMatches(pattern: string, resource: string, subresource: string): boolean {
  const [wantedResource, wantedSubresource = ''] = pattern.split('/');
  if (wantedResource !== '*' && wantedResource !== resource) return false;
  return wantedSubresource === '*' || wantedSubresource === subresource;
}

function scopeMatches({ scope }: WebhookRule, { namespace, resource }: AdmissionRequest): boolean {
  if (scope === undefined || scope === '*') return true;
  // A Namespace names itself as the request's namespace and yet is cluster-scoped.
  const isNamespaced = namespace !== '' && !(resource.group === '' && resource.resource === 'namespaces');
  return scope === 'Namespaced' ? isNamespaced : !isNamespaced;
}

function matchesNamespace(
  matcher: Matcher,
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
): boolean {
  const selector = selectorFromSpec(matcher.namespaceSelector ?? {});
  if (selector.empty) return true;
  const isNamespace = request.resource.group === '' && request.resource.resource === 'namespaces';
  if (isNamespace && request.subresource === '')
    return selector.matches((object ?? request.oldObject)?.metadata.labels);
  if (request.namespace === '') return true;
  const namespace = objects.get(NAMESPACES, '', request.namespace);
  if (!namespace) throw notFound(NAMESPACES, request.namespace);
  return selector.matches(namespace.metadata.labels);
}

function matchesObject(matcher: Matcher, object: KubeObject | undefined, oldObject: KubeObject | undefined): boolean {
  const selector = selectorFromSpec(matcher.objectSelector ?? {});
  if (selector.empty) return true;
  return [object, oldObject].some((one) => one !== undefined && selector.matches(one.metadata.labels));
}

export type CelVariables = Readonly<Record<'object' | 'oldObject' | 'request', unknown>>;

/**
 * Whether all matchConditions hold: false as soon as one is false, whatever the others do.
 * Throws an Error that lists what could not be evaluated when none is false.
 * @param more variables as CEL values, beyond those that are JSON
 */
export function conditionsHold(
  conditions: Webhook['matchConditions'],
  variables: CelVariables,
  more: Record<string, unknown> = {},
): boolean {
  if (!conditions?.length) return true;
  const environment = policyEnvironment();
  const context = { params: null, namespaceObject: null, variables: {}, ...celContext(variables), ...more };
  const errors: string[] = [];
  for (const { name, expression } of conditions) {
    try {
      if (compileCel(expression, environment)(context) !== true) return false;
    } catch (error) {
      errors.push(`matchCondition ${JSON.stringify(name)}: ${firstLine(error)}`);
    }
  }
  if (errors.length > 0) throw new Error(errors.join('; '));
  return true;
}

export function celContext(variables: CelVariables): Record<string, unknown> {
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, dynamicCelValue(value)]));
}
