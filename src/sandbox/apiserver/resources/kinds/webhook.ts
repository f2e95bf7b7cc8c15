// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../../kube/types.ts';
import { celProblem } from '../../crd/cel-environment.ts';
import { policyEnvironment } from '../../crd/policy-environment.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { duplicate, invalidValue, required, unsupported } from '../../validation/causes.ts';
import { subdomainProblem } from '../../validation/names.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, member } from '../kind-builder.ts';

interface Rule {
  operations?: string[];
  apiGroups?: string[];
  apiVersions?: string[];
  resources?: string[];
  scope?: string;
}

interface Webhook {
  name: string;
  clientConfig: { url?: string; service?: { name: string; namespace: string; port?: number; path?: string } };
  rules?: Rule[];
  failurePolicy?: string;
  matchPolicy?: string;
  namespaceSelector?: object;
  objectSelector?: object;
  sideEffects?: string;
  timeoutSeconds?: number;
  admissionReviewVersions?: string[];
  reinvocationPolicy?: string;
  matchConditions?: { name: string; expression: string }[];
}

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE'];
const KNOWN_REVIEWS = ['v1', 'v1beta1'];
const CHOICES: readonly (readonly [keyof Webhook & string, readonly string[]])[] = [
  ['failurePolicy', ['Fail', 'Ignore']],
  ['matchPolicy', ['Equivalent', 'Exact']],
  ['sideEffects', ['None', 'NoneOnDryRun']],
  ['reinvocationPolicy', ['IfNeeded', 'Never']],
];

const webhooks = (object: KubeObject): Webhook[] => member<Webhook[]>(object, 'webhooks') ?? [];

function defaults(mutating: boolean): (object: KubeObject) => void {
  return (object) => {
    for (const hook of webhooks(object)) {
      hook.failurePolicy ??= 'Fail';
      hook.matchPolicy ??= 'Equivalent';
      hook.namespaceSelector ??= {};
      hook.objectSelector ??= {};
      hook.timeoutSeconds ??= 10;
      if (mutating) hook.reinvocationPolicy ??= 'Never';
      if (hook.clientConfig.service) hook.clientConfig.service.port ??= 443;
      for (const rule of hook.rules ?? []) rule.scope ??= '*';
    }
  };
}

function validate(object: KubeObject): StatusCause[] {
  const causes: StatusCause[] = [];
  const names = new Set<string>();
  for (const [index, hook] of webhooks(object).entries()) {
    const path = `webhooks[${index}]`;
    causes.push(...validateHook(hook, path));
    if (names.has(hook.name)) causes.push(duplicate(`${path}.name`, hook.name));
    names.add(hook.name);
  }
  return causes;
}

function validateHook(hook: Webhook, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  if (!hook.name) causes.push(required(`${path}.name`));
  else if (subdomainProblem(hook.name))
    causes.push(invalidValue(`${path}.name`, hook.name, subdomainProblem(hook.name)!));
  else if (hook.name.split('.').length < 3) {
    causes.push(
      invalidValue(`${path}.name`, hook.name, 'should be a domain with at least three segments separated by dots'),
    );
  }
  for (const [index, rule] of (hook.rules ?? []).entries())
    causes.push(...validateRule(rule, `${path}.rules[${index}]`));
  if (!hook.sideEffects) causes.push(required(`${path}.sideEffects`, 'must specify one of None, NoneOnDryRun'));
  for (const [field, allowed] of CHOICES) {
    const value = hook[field];
    if (value && !allowed.includes(value as string)) causes.push(unsupported(`${path}.${field}`, value, allowed));
  }
  const timeout = hook.timeoutSeconds ?? 10;
  if (timeout < 1 || timeout > 30) {
    causes.push(invalidValue(`${path}.timeoutSeconds`, timeout, 'the timeout value must be between 1 and 30 seconds'));
  }
  for (const [index, { name, expression }] of (hook.matchConditions ?? []).entries()) {
    const here = `${path}.matchConditions[${index}]`;
    if (!name) causes.push(required(`${here}.name`));
    const problem = expression ? celProblem(expression, policyEnvironment()) : undefined;
    if (!expression) causes.push(required(`${here}.expression`));
    else if (problem) causes.push(invalidValue(`${here}.expression`, expression, `compilation failed: ${problem}`));
  }
  if (!hook.admissionReviewVersions?.length) {
    causes.push(required(`${path}.admissionReviewVersions`, `must specify one of ${KNOWN_REVIEWS.join(', ')}`));
  } else if (!hook.admissionReviewVersions.some((version) => KNOWN_REVIEWS.includes(version))) {
    causes.push(
      invalidValue(
        `${path}.admissionReviewVersions`,
        hook.admissionReviewVersions,
        `must include at least one of ${KNOWN_REVIEWS.join(', ')}`,
      ),
    );
  }
  const { url, service } = hook.clientConfig ?? {};
  if ((url === undefined) === (service === undefined)) {
    causes.push(required(`${path}.clientConfig`, 'exactly one of url or service is required'));
  } else if (url !== undefined && !/^https:\/\/[^/]/.test(url)) {
    causes.push(
      invalidValue(
        `${path}.clientConfig.url`,
        url,
        "'https' is the only allowed URL scheme; desired format: https://host[/path]",
      ),
    );
  } else if (service) {
    if (!service.name) causes.push(required(`${path}.clientConfig.service.name`, 'service name is required'));
    if (!service.namespace)
      causes.push(required(`${path}.clientConfig.service.namespace`, 'service namespace is required'));
  }
  return causes;
}

function validateRule(rule: Rule, path: string): StatusCause[] {
  const causes: StatusCause[] = [];
  for (const field of ['operations', 'apiGroups', 'apiVersions', 'resources'] as const) {
    if (!rule[field]?.length) causes.push(required(`${path}.${field}`));
  }
  for (const [index, operation] of (rule.operations ?? []).entries()) {
    if (!OPERATIONS.includes(operation))
      causes.push(unsupported(`${path}.operations[${index}]`, operation, OPERATIONS));
  }
  return causes;
}

export function webhookKinds(types: TypeTable): ResourceDefinition[] {
  return (['Mutating', 'Validating'] as const).map((word) =>
    defineKind(types, {
      kind: `${word}WebhookConfiguration`,
      resource: `${word.toLowerCase()}webhookconfigurations`,
      categories: ['api-extensions'],
      versions: [
        {
          group: 'admissionregistration.k8s.io',
          version: 'v1',
          type: `admissionregistration.v1.${word}WebhookConfiguration`,
          defaults: defaults(word === 'Mutating'),
        },
      ],
      namespaced: false,
      columns: [NAME, column('Webhooks', (object) => webhooks(object).length), AGE],
      strategy: { generation: true, validate },
    }),
  );
}
