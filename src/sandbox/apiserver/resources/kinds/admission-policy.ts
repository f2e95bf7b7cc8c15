// SPDX-License-Identifier: Apache-2.0
// ValidatingAdmissionPolicies and their bindings: admission/policies.ts acts on them.
import type { KubeObject } from '../../../../kube/types.ts';
import { celProblem } from '../../crd/cel-environment.ts';
import { policyEnvironment } from '../../crd/policy-environment.ts';
import type { TypeTable } from '../../schema/parse.ts';
import type { StatusCause } from '../../status.ts';
import { AGE, column, NAME } from '../../tables/table.ts';
import { duplicate, forbiddenField, invalidValue, required, unsupported } from '../../validation/causes.ts';
import type { ResourceDefinition } from '../definition.ts';
import { defineKind, member, textAt } from '../kind-builder.ts';

interface MatchResources {
  namespaceSelector?: object;
  objectSelector?: object;
  matchPolicy?: string;
  resourceRules?: {
    operations?: string[];
    apiGroups?: string[];
    apiVersions?: string[];
    resources?: string[];
    scope?: string;
  }[];
  excludeResourceRules?: { scope?: string }[];
}

interface PolicySpec {
  paramKind?: { apiVersion?: string; kind?: string };
  matchConstraints?: MatchResources;
  matchConditions?: { name: string; expression: string }[];
  variables?: { name: string; expression: string }[];
  validations?: { expression: string; message?: string; messageExpression?: string; reason?: string }[];
  auditAnnotations?: { key: string; valueExpression: string }[];
  failurePolicy?: string;
}

interface BindingSpec {
  policyName?: string;
  paramRef?: { name?: string; namespace?: string; selector?: object; parameterNotFoundAction?: string };
  matchResources?: MatchResources;
  validationActions?: string[];
}

const GROUP = 'admissionregistration.k8s.io';
const ACTIONS = ['Audit', 'Deny', 'Warn'];
const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge', 'Unauthorized'];

const policySpec = (object: KubeObject): PolicySpec => member<PolicySpec>(object, 'spec') ?? {};
const bindingSpec = (object: KubeObject): BindingSpec => member<BindingSpec>(object, 'spec') ?? {};

function defaultMatch(match: MatchResources | undefined): void {
  if (!match) return;
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  match.matchPolicy ??= 'Equivalent';
  for (const rule of [...(match.resourceRules ?? []), ...(match.excludeResourceRules ?? [])]) rule.scope ??= '*';
}

function validatePolicy(object: KubeObject): StatusCause[] {
  const spec = policySpec(object);
  const causes: StatusCause[] = [];
  const environment = policyEnvironment();
  const compile = (expression: string, field: string) => {
    if (!expression.trim()) return void causes.push(required(field, 'expression is not specified'));
    const problem = celProblem(expression, environment);
    if (problem) causes.push(invalidValue(field, expression, `compilation failed: ERROR: <input>: ${problem}`));
  };
  if (spec.paramKind && (!spec.paramKind.apiVersion || !spec.paramKind.kind)) {
    causes.push(required('spec.paramKind', 'apiVersion and kind are both required'));
  }
  if (!spec.matchConstraints) causes.push(required('spec.matchConstraints'));
  else causes.push(...validateRules(spec.matchConstraints));
  if (!spec.validations?.length && !spec.auditAnnotations?.length) {
    causes.push(required('spec.validations', 'validations or auditAnnotations must contain at least one item'));
  }
  const names = new Set<string>();
  for (const [index, { name, expression }] of (spec.variables ?? []).entries()) {
    const here = `spec.variables[${index}]`;
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name))
      causes.push(invalidValue(`${here}.name`, name, 'name is not a valid CEL identifier'));
    if (names.has(name)) causes.push(duplicate(`${here}.name`, name));
    names.add(name);
    compile(expression, `${here}.expression`);
  }
  for (const [index, { name, expression }] of (spec.matchConditions ?? []).entries()) {
    if (!name) causes.push(required(`spec.matchConditions[${index}].name`));
    compile(expression, `spec.matchConditions[${index}].expression`);
  }
  for (const [index, { expression, messageExpression, reason }] of (spec.validations ?? []).entries()) {
    const here = `spec.validations[${index}]`;
    compile(expression, `${here}.expression`);
    if (messageExpression) compile(messageExpression, `${here}.messageExpression`);
    if (reason && !REASONS.includes(reason)) causes.push(unsupported(`${here}.reason`, reason, REASONS));
  }
  for (const [index, { valueExpression }] of (spec.auditAnnotations ?? []).entries()) {
    compile(valueExpression, `spec.auditAnnotations[${index}].valueExpression`);
  }
  if (spec.failurePolicy && !['Fail', 'Ignore'].includes(spec.failurePolicy)) {
    causes.push(unsupported('spec.failurePolicy', spec.failurePolicy, ['Fail', 'Ignore']));
  }
  return causes;
}

function validateRules({ resourceRules = [] }: MatchResources): StatusCause[] {
  if (resourceRules.length === 0) return [required('spec.matchConstraints.resourceRules')];
  return resourceRules.flatMap((rule, index) =>
    (['operations', 'apiGroups', 'apiVersions', 'resources'] as const)
      .filter((field) => !rule[field]?.length)
      .map((field) => required(`spec.matchConstraints.resourceRules[${index}].${field}`)),
  );
}

function validateBinding(object: KubeObject): StatusCause[] {
  const { policyName, paramRef, validationActions = [] } = bindingSpec(object);
  const causes: StatusCause[] = [];
  if (!policyName) causes.push(required('spec.policyName'));
  if (paramRef) {
    if (!paramRef.name && !paramRef.selector)
      causes.push(required('spec.paramRef.name', 'one of name or selector must be specified'));
    if (paramRef.name && paramRef.selector) {
      causes.push(forbiddenField('spec.paramRef.name', 'name and selector are mutually exclusive'));
    }
    const action = paramRef.parameterNotFoundAction;
    if (!action) causes.push(required('spec.paramRef.parameterNotFoundAction'));
    else if (!['Allow', 'Deny'].includes(action)) {
      causes.push(unsupported('spec.paramRef.parameterNotFoundAction', action, ['Deny', 'Allow']));
    }
  }
  if (validationActions.length === 0) {
    causes.push(required('spec.validationActions', 'at least one validation action is required'));
  }
  for (const [index, action] of validationActions.entries()) {
    if (!ACTIONS.includes(action)) causes.push(unsupported(`spec.validationActions[${index}]`, action, ACTIONS));
  }
  if (validationActions.includes('Deny') && validationActions.includes('Warn')) {
    causes.push(
      invalidValue(
        'spec.validationActions',
        validationActions,
        'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ),
    );
  }
  return causes;
}

function paramKind(object: KubeObject): string {
  const { apiVersion, kind } = policySpec(object).paramKind ?? {};
  return kind ? `${apiVersion}/${kind}` : '<unset>';
}

function paramRef(object: KubeObject): string {
  const { name, namespace, selector } = bindingSpec(object).paramRef ?? {};
  if (name) return namespace ? `${namespace}/${name}` : name;
  return selector ? 'selector' : '<unset>';
}

export function admissionPolicyKinds(types: TypeTable): ResourceDefinition[] {
  return [
    defineKind(types, {
      kind: 'ValidatingAdmissionPolicy',
      resource: 'validatingadmissionpolicies',
      versions: [
        {
          group: GROUP,
          version: 'v1',
          type: 'admissionregistration.v1.ValidatingAdmissionPolicy',
          defaults(object) {
            const spec = policySpec(object);
            spec.failurePolicy ??= 'Fail';
            defaultMatch(spec.matchConstraints);
          },
        },
      ],
      namespaced: false,
      categories: ['api-extensions'],
      status: true,
      columns: [
        NAME,
        column('Validations', (object) => policySpec(object).validations?.length ?? 0, { type: 'integer' }),
        column('ParamKind', paramKind),
        AGE,
      ],
      strategy: { generation: true, initialStatus: () => ({}), validate: validatePolicy },
    }),
    defineKind(types, {
      kind: 'ValidatingAdmissionPolicyBinding',
      resource: 'validatingadmissionpolicybindings',
      versions: [
        {
          group: GROUP,
          version: 'v1',
          type: 'admissionregistration.v1.ValidatingAdmissionPolicyBinding',
          defaults: (object) => defaultMatch(bindingSpec(object).matchResources),
        },
      ],
      namespaced: false,
      categories: ['api-extensions'],
      columns: [
        NAME,
        column('PolicyName', (object) => textAt(object, 'spec.policyName')),
        column('ParamRef', paramRef),
        AGE,
      ],
      strategy: { generation: true, validate: validateBinding },
    }),
  ];
}
