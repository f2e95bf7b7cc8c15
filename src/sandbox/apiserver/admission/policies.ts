// SPDX-License-Identifier: Apache-2.0
// ValidatingAdmissionPolicies: conditions in CEL that objects must meet.
// https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
import type { KubeObject } from '../../../kube/types.ts';
import { compileCel, dynamicCelValue, firstLine } from '../crd/cel-environment.ts';
import { evaluateWithin } from '../crd/evaluation-limit.ts';
import { policyEnvironment } from '../crd/policy-environment.ts';
import type { AdmissionRequest, ClusterObjects, SecurityInputs } from '../seams.ts';
import { selectorFromSpec } from '../selectors/label-selector.ts';
import { ApiError, type GroupResource, qualifiedResource, type StatusCause } from '../status.ts';
import { celContext, conditionsHold, type Matcher, matchRequest } from './webhook-matching.ts';
import { ADMISSION_REGISTRATION, type Webhook, type WebhookRule } from './webhook-types.ts';
import { reviewRequest } from './webhooks.ts';

const POLICIES: GroupResource = { group: ADMISSION_REGISTRATION, resource: 'validatingadmissionpolicies' };
const BINDINGS: GroupResource = { group: ADMISSION_REGISTRATION, resource: 'validatingadmissionpolicybindings' };
const NAMESPACES: GroupResource = { group: '', resource: 'namespaces' };

interface MatchResources extends Omit<Matcher, 'rules' | 'excluded'> {
  resourceRules?: readonly WebhookRule[];
  excludeResourceRules?: readonly WebhookRule[];
}

interface Validation {
  readonly expression: string;
  readonly message?: string;
  readonly messageExpression?: string;
  readonly reason?: string;
}

interface Policy extends KubeObject {
  spec?: {
    paramKind?: { apiVersion?: string; kind?: string };
    matchConstraints?: MatchResources;
    matchConditions?: Webhook['matchConditions'];
    variables?: readonly { name: string; expression: string }[];
    validations?: readonly Validation[];
    failurePolicy?: 'Fail' | 'Ignore';
  };
}

interface ParamRef {
  name?: string;
  namespace?: string;
  selector?: Parameters<typeof selectorFromSpec>[0];
  parameterNotFoundAction?: 'Allow' | 'Deny';
}

interface Binding extends KubeObject {
  spec?: {
    policyName?: string;
    paramRef?: ParamRef;
    matchResources?: MatchResources;
    validationActions?: readonly string[];
  };
}

interface Violation {
  readonly message: string;
  readonly reason: string;
}

const CODES: Readonly<Record<string, number>> = {
  Forbidden: 403,
  Invalid: 422,
  RequestEntityTooLarge: 413,
  Unauthorized: 401,
};

/** Throws an ApiError when a policy denies the request; warns when one only warns. */
export function checkPolicies(
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
  log: SecurityInputs['log'],
): void {
  const bindings = objects.list(BINDINGS) as readonly Binding[];
  if (bindings.length === 0) return;
  // A policy that could refuse changes of policies could never be repaired.
  const { group, resource } = request.resource;
  if (group === ADMISSION_REGISTRATION && resource.startsWith('validatingadmissionpolic')) return;
  for (const binding of [...bindings].sort(byName)) {
    const policy = objects.get(POLICIES, '', binding.spec?.policyName ?? '') as Policy | undefined;
    if (!policy || policy.metadata.deletionTimestamp) continue;
    for (const violation of violations(policy, binding, request, object, objects)) {
      enforce(violation, policy, binding, request, log);
    }
  }
}

function byName(a: KubeObject, b: KubeObject): number {
  return (a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1;
}

function enforce(
  { message, reason }: Violation,
  policy: Policy,
  binding: Binding,
  request: AdmissionRequest,
  log: SecurityInputs['log'],
): void {
  const who = `ValidatingAdmissionPolicy '${policy.metadata.name}' with binding '${binding.metadata.name}'`;
  const actions = binding.spec?.validationActions ?? [];
  if (actions.includes('Audit'))
    log('info', `${who}: ${message}`, { name: request.name, namespace: request.namespace });
  if (actions.includes('Warn')) request.warn(`Validation failed for ${who}: ${message}`);
  if (!actions.includes('Deny')) return;
  const text = `${who} denied request: ${message}`;
  const name = request.object?.metadata.name ?? request.name;
  const { group, resource } = request.resource;
  const subject = `${qualifiedResource(request.resource)} ${JSON.stringify(name)} is forbidden`;
  throw new ApiError(CODES[reason] ?? 422, reason, `${subject}: ${text}`, {
    ...(name ? { name } : {}),
    ...(group ? { group } : {}),
    kind: resource,
    causes: [{ message: text } as StatusCause],
  });
}

/** What is wrong by one policy and binding; nothing when they are not about the request. */
function violations(
  policy: Policy,
  binding: Binding,
  request: AdmissionRequest,
  object: KubeObject | undefined,
  objects: ClusterObjects,
): Violation[] {
  const { matchConstraints, failurePolicy = 'Fail' } = policy.spec ?? {};
  const resource = matchRequest(matcherOf(matchConstraints), request, object, objects);
  if (!resource) return [];
  const { matchResources } = binding.spec ?? {};
  const narrowed: Matcher = {
    ...matcherOf(matchResources),
    // A binding without rules takes the policy's.
    rules: matchResources?.resourceRules?.length
      ? matchResources.resourceRules
      : (matchConstraints?.resourceRules ?? []),
  };
  if (!matchRequest(narrowed, request, object, objects)) return [];
  try {
    const review = reviewRequest(request, object, resource, objects);
    const namespace = request.namespace ? objects.get(NAMESPACES, '', request.namespace) : undefined;
    const base = {
      ...celContext({ object: review.object, oldObject: review.oldObject, request: review }),
      namespaceObject: dynamicCelValue(namespace ?? null),
    };
    return evaluateWithin(() =>
      paramsFor(policy, binding, request, objects).flatMap((params) =>
        evaluate(policy, { ...base, params: dynamicCelValue(params ?? null) }),
      ),
    );
  } catch (error) {
    if (failurePolicy === 'Ignore') return [];
    return [{ message: firstLine(error), reason: 'Invalid' }];
  }
}

function matcherOf(match: MatchResources | undefined): Matcher {
  const { resourceRules, excludeResourceRules, ...selectors } = match ?? {};
  return { ...selectors, rules: resourceRules ?? [], excluded: excludeResourceRules ?? [] };
}

/** The objects that the policy is evaluated with, one after the other; [undefined] for a policy without parameters. */
function paramsFor(
  policy: Policy,
  binding: Binding,
  request: AdmissionRequest,
  objects: ClusterObjects,
): (KubeObject | undefined)[] {
  const { paramKind } = policy.spec ?? {};
  const { paramRef } = binding.spec ?? {};
  if (!paramKind) return [undefined];
  if (!paramRef) return [undefined];
  const { apiVersion = '', kind = '' } = paramKind;
  const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
  const type = objects.resolve({ group, version, kind });
  if (!type)
    throw new Error(
      `failed to configure policy: failed to find resource referenced by paramKind: '${apiVersion}, Kind=${kind}'`,
    );
  const namespace = type.namespaced ? (paramRef.namespace ?? request.namespace) : '';
  if (type.namespaced && !namespace) {
    throw new Error(
      'failed to configure binding: cannot use namespaced paramRef in policy binding that matches cluster-scoped resources',
    );
  }
  const found = paramRef.name
    ? [objects.get(type, namespace, paramRef.name)].filter((one) => one !== undefined)
    : objects
        .list(type, namespace || undefined)
        .filter(({ metadata }) => selectorFromSpec(paramRef.selector ?? {}).matches(metadata.labels));
  if (found.length > 0 || paramRef.parameterNotFoundAction === 'Allow') return [...found];
  throw new Error(
    'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction',
  );
}

/** All validations that fail, with one set of parameters. Throws when a match condition cannot be evaluated. */
function evaluate(policy: Policy, context: Record<string, unknown>): Violation[] {
  const { matchConditions, variables = [], validations = [], failurePolicy = 'Fail' } = policy.spec ?? {};
  const { object, oldObject, request } = context;
  const scope = { ...context, variables: lazyVariables(variables, context) };
  if (
    !conditionsHold(
      matchConditions,
      { object: null, oldObject: null, request: null },
      { ...scope, object, oldObject, request },
    )
  ) {
    return [];
  }
  const environment = policyEnvironment();
  return validations.flatMap(({ expression, message, messageExpression, reason = 'Invalid' }) => {
    try {
      if (compileCel(expression, environment)(scope) === true) return [];
    } catch (error) {
      if (failurePolicy === 'Ignore') return [];
      const why = firstLine(error).replace(/^No such key/, 'no such key');
      return [{ message: `expression '${expression.trim()}' resulted in error: ${why}`, reason: 'Invalid' }];
    }
    const text = messageExpression ? said(messageExpression, scope) : undefined;
    return [{ message: text ?? message ?? `failed expression: ${expression.trim()}`, reason }];
  });
}

/** A message that cannot be made, or is not one line of text, gives way to the plain one. */
function said(expression: string, scope: Record<string, unknown>): string | undefined {
  try {
    const value = compileCel(expression, policyEnvironment())(scope);
    return typeof value === 'string' && value.trim() !== '' && !value.includes('\n') ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Variables are evaluated when an expression reads them, at most once, and may read those before them. */
function lazyVariables(
  declared: readonly { name: string; expression: string }[],
  context: Record<string, unknown>,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  const environment = policyEnvironment();
  for (const { name, expression } of declared) {
    let known: { value: unknown } | undefined;
    Object.defineProperty(values, name, {
      enumerable: true,
      get() {
        known ??= { value: compileCel(expression, environment)({ ...context, variables: values }) };
        return known.value;
      },
    });
  }
  return values;
}
