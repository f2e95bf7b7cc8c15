// SPDX-License-Identifier: Apache-2.0
// x-kubernetes-validations: CEL rules on values of a custom resource.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
import { Environment } from '@marcbachmann/cel-js';
import type { KubeObject } from '../../../kube/types.ts';
import { isRecord } from '../schema/decode.ts';
import type { StatusCause } from '../status.ts';
import { invalidValue } from '../validation/causes.ts';
import { registerKubernetesFunctions } from './cel-functions.ts';
import type { JsonSchema, ValidationRule } from './json-schema.ts';

const NOT_CHECKED =
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';

export interface CompiledRules {
  /** `causes` of the schema, with those of the rules: they are only checked on what is otherwise valid. */
  extend(causes: readonly StatusCause[], object: KubeObject, old: KubeObject | undefined): StatusCause[];
}

type Program = (context: Record<string, unknown>) => unknown;

interface CompiledRule {
  readonly rule: ValidationRule;
  readonly program: Program;
  readonly message: Program | undefined;
  /** Refers to oldSelf: only checked when there is an old value. */
  readonly transition: boolean;
}

/** undefined when the schema has no rules. Throws when one cannot be compiled: CRD validation has refused those. */
export function compileRules(schema: JsonSchema): CompiledRules | undefined {
  if (!hasRules(schema)) return undefined;
  const environment = makeEnvironment();
  const compiled = new Map<ValidationRule, CompiledRule>();
  const compiledRule = (rule: ValidationRule): CompiledRule => {
    const found = compiled.get(rule) ?? compileRule(rule, environment);
    compiled.set(rule, found);
    return found;
  };
  return {
    extend(causes, object, old) {
      if (causes.length > 0) return [...causes, { ...invalidValue('<nil>', null, NOT_CHECKED) }];
      const found: StatusCause[] = [];
      evaluate(object, old, schema, '', compiledRule, found);
      return found;
    },
  };
}

/** The compiler's complaint about a rule, or undefined. */
export function ruleProblem(rule: ValidationRule): string | undefined {
  try {
    compileRule(rule, makeEnvironment());
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function makeEnvironment(): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: true,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
  });
  environment.registerVariable('self', 'dyn').registerVariable('oldSelf', 'dyn');
  registerKubernetesFunctions(environment);
  return environment;
}

function compileRule(rule: ValidationRule, environment: Environment): CompiledRule {
  return {
    rule,
    program: environment.parse(rule.rule) as unknown as Program,
    message: rule.messageExpression ? (environment.parse(rule.messageExpression) as unknown as Program) : undefined,
    transition: /\boldSelf\b/.test(rule.rule),
  };
}

function hasRules(schema: JsonSchema): boolean {
  if (schema['x-kubernetes-validations']?.length) return true;
  const inner = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return inner.some((one) => typeof one === 'object' && hasRules(one));
}

function evaluate(
  value: unknown,
  old: unknown,
  schema: JsonSchema,
  path: string,
  compile: (rule: ValidationRule) => CompiledRule,
  causes: StatusCause[],
): void {
  for (const rule of schema['x-kubernetes-validations'] ?? []) {
    const cause = check(compile(rule), value, old, schema, path);
    if (cause) causes.push(cause);
  }
  if (Array.isArray(value) && schema.items) {
    for (const [index, item] of value.entries()) {
      evaluate(item, matching(old, item, index, schema), schema.items, `${path}[${index}]`, compile, causes);
    }
  } else if (isRecord(value)) {
    for (const [name, item] of Object.entries(value)) {
      const inner = schema.properties?.[name] ?? schema.additionalProperties;
      if (typeof inner !== 'object' || item === null) continue;
      evaluate(item, isRecord(old) ? old[name] : undefined, inner, path ? `${path}.${name}` : name, compile, causes);
    }
  }
}

/** The old item that a list item stands for: only lists with keys have such a thing. */
function matching(old: unknown, item: unknown, _index: number, schema: JsonSchema): unknown {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (!Array.isArray(old) || !keys || !isRecord(item)) return undefined;
  return old.find((one) => isRecord(one) && keys.every((key) => one[key] === item[key]));
}

function check(
  compiled: CompiledRule,
  value: unknown,
  old: unknown,
  schema: JsonSchema,
  path: string,
): StatusCause | undefined {
  const { rule, program, message, transition } = compiled;
  if (transition && old === undefined && !rule.optionalOldSelf) return undefined;
  const field = (path || '<nil>') + (rule.fieldPath ?? '');
  const scope = {
    self: toCel(value, schema),
    ...(transition && old !== undefined ? { oldSelf: toCel(old, schema) } : {}),
  };
  const shown = isRecord(value) || Array.isArray(value) ? undefined : value;
  try {
    if (program(scope) === true) return undefined;
    const text = message ? String(message(scope)) : (rule.message ?? `failed rule: ${rule.rule}`);
    return shownCause(field, shown, text, rule.reason);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    return shownCause(field, shown, `rule compile/run error: ${why} for rule: ${rule.rule}`, undefined);
  }
}

/** Objects and lists are not repeated in the message: "Invalid value: replicas must not exceed max". */
function shownCause(field: string, value: unknown, text: string, reason: string | undefined): StatusCause {
  if (value !== undefined) return { ...invalidValue(field, value, text), reason: reason ?? 'FieldValueInvalid' };
  return { reason: reason ?? 'FieldValueInvalid', message: `Invalid value: ${text}`, field };
}

/** JSON as CEL values: integers are int (BigInt), other numbers double. */
function toCel(value: unknown, schema: JsonSchema | undefined): unknown {
  if (typeof value === 'number') return schema?.type !== 'number' && Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const inner = schema?.properties?.[name] ?? schema?.additionalProperties;
      return [name, toCel(item, typeof inner === 'object' ? inner : undefined)];
    }),
  );
}
