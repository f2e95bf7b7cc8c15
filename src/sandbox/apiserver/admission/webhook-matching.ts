// SPDX-License-Identifier: Apache-2.0
// Which webhooks an admission request is for: rules, match policy, namespace and object selectors, match conditions.
import { Environment } from '@marcbachmann/cel-js';
import type { KubeObject } from '../../../kube/types.ts';
import type { AdmissionRequest, ClusterObjects, GroupVersionResource } from '../seams.ts';
import { selectorFromSpec } from '../selectors/label-selector.ts';
import { type GroupResource, notFound } from '../status.ts';
import { ADMISSION_REGISTRATION, type Webhook, type WebhookRule } from './webhook-types.ts';

const NAMESPACES: GroupResource = { group: '', resource: 'namespaces' };

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
  const wanted = matchRules(webhook, request);
  if (!wanted) return undefined;
  if (!matchesNamespace(webhook, request, object, objects)) return undefined;
  return matchesObject(webhook, object, request.oldObject) ? wanted : undefined;
}

function matchRules(webhook: Webhook, request: AdmissionRequest): GroupVersionResource | undefined {
  const candidates = [request.requestResource];
  // Equivalent: a rule for deployments.v1.apps also gets what came as deployments.v1beta1.extensions.
  if (webhook.matchPolicy !== 'Exact') candidates.push(request.resource, ...request.equivalents);
  return candidates.find((candidate) => webhook.rules?.some((rule) => ruleMatches(rule, candidate, request)));
}

function ruleMatches(rule: WebhookRule, resource: GroupVersionResource, request: AdmissionRequest): boolean {
  const has = (values: readonly string[] | undefined, wanted: string) =>
    values !== undefined && (values.includes('*') || values.includes(wanted));
  return (
    has(rule.operations, request.operation) &&
    has(rule.apiGroups, resource.group) &&
    has(rule.apiVersions, resource.version) &&
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
  webhook: Webhook,
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
): boolean {
  const selector = selectorFromSpec(webhook.namespaceSelector ?? {});
  if (selector.empty) return true;
  const isNamespace = request.resource.group === '' && request.resource.resource === 'namespaces';
  if (isNamespace && request.subresource === '')
    return selector.matches((object ?? request.oldObject)?.metadata.labels);
  if (request.namespace === '') return true;
  const namespace = objects.get(NAMESPACES, '', request.namespace);
  if (!namespace) throw notFound(NAMESPACES, request.namespace);
  return selector.matches(namespace.metadata.labels);
}

function matchesObject(webhook: Webhook, object: KubeObject | undefined, oldObject: KubeObject | undefined): boolean {
  const selector = selectorFromSpec(webhook.objectSelector ?? {});
  if (selector.empty) return true;
  return [object, oldObject].some((one) => one !== undefined && selector.matches(one.metadata.labels));
}

/**
 * Whether all matchConditions hold: false as soon as one is false, whatever the others do.
 * Throws an Error that lists what could not be evaluated when none is false.
 */
export function conditionsHold(
  webhook: Webhook,
  variables: Record<'object' | 'oldObject' | 'request', unknown>,
): boolean {
  if (!webhook.matchConditions?.length) return true;
  const environment = new Environment();
  for (const name of Object.keys(variables)) environment.registerVariable(name, 'dyn');
  const context = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, toCel(value)]));
  const errors: string[] = [];
  for (const { name, expression } of webhook.matchConditions) {
    try {
      if (environment.parse(expression)(context) !== true) return false;
    } catch (error) {
      errors.push(`matchCondition ${JSON.stringify(name)}: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  if (errors.length > 0) throw new Error(errors.join('; '));
  return true;
}

/** CEL knows integers from floating point; JSON's whole numbers are meant as integers. */
function toCel(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(toCel);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, toCel(item)]));
}
