// SPDX-License-Identifier: Apache-2.0
// x-kubernetes-validations: CEL rules on values of a custom resource.
// https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
import type { Environment } from '@marcbachmann/cel-js';
import type { KubeObject } from '../../../kube/types.ts';
import { isRecord } from '../schema/decode.ts';
import type { StatusCause } from '../status.ts';
import { invalidValue } from '../validation/causes.ts';
import { type CelProgram, compileCel, createCelEnvironment, firstLine } from './cel-environment.ts';
import { escapeMember } from './cel-names.ts';
import type { JsonSchema, ValidationRule } from './json-schema.ts';
import { formerItem, sameJson } from './schema-validation.ts';

const NOT_CHECKED =
  'some validation rules were not checked because the object was invalid; correct the existing errors to complete validation';

export interface CompiledRules {
  /** `causes` of the schema, with those of the rules: they are only checked on what is otherwise valid. */
  extend(causes: readonly StatusCause[], object: KubeObject, old: KubeObject | undefined): StatusCause[];
}

interface CompiledRule {
  readonly rule: ValidationRule;
  readonly program: CelProgram;
  readonly message: CelProgram | undefined;
  /** Refers to oldSelf: only checked when there is an old value. */
  readonly transition: boolean;
}

/** What CEL makes of JSON for one set of rules: times, and old values that may be absent. */
interface Values {
  readonly timestamp: CelProgram;
  readonly duration: CelProgram;
  readonly present: CelProgram;
  readonly absent: CelProgram;
}

/** undefined when the schema has no rules. Throws when one cannot be compiled: CRD validation has refused those. */
export function compileRules(schema: JsonSchema): CompiledRules | undefined {
  if (!hasRules(schema)) return undefined;
  const environment = createCelEnvironment(['self', 'oldSelf']);
  const values: Values = {
    timestamp: compileCel('timestamp(self)', environment),
    duration: compileCel('duration(self)', environment),
    present: compileCel('optional.of(self)', environment),
    absent: compileCel('optional.none()', environment),
  };
  const compiled = new Map<ValidationRule, CompiledRule>();
  const compiledRule = (rule: ValidationRule): CompiledRule => {
    const found = compiled.get(rule) ?? compileRule(rule, rule.optionalOldSelf ? optionalEnvironment() : environment);
    compiled.set(rule, found);
    return found;
  };
  return {
    extend(causes, object, old) {
      if (causes.length > 0) return [...causes, { ...invalidValue('<nil>', null, NOT_CHECKED) }];
      const found: StatusCause[] = [];
      evaluate(object, old, schema, '', { compile: compiledRule, values, causes: found });
      return found;
    },
  };
}

/** The compiler's complaint about a rule, or undefined. */
export function ruleProblem(rule: ValidationRule): string | undefined {
  try {
    compileRule(rule, rule.optionalOldSelf ? optionalEnvironment() : createCelEnvironment(['self', 'oldSelf']));
    return undefined;
  } catch (error) {
    return firstLine(error);
  }
}

/** For rules that are checked when there is no old value too. */
function optionalEnvironment(): Environment {
  return createCelEnvironment(['self'], ['oldSelf']);
}

function compileRule(rule: ValidationRule, environment: Environment): CompiledRule {
  return {
    rule,
    program: compileCel(rule.rule, environment),
    message: rule.messageExpression ? compileCel(rule.messageExpression, environment) : undefined,
    transition: /\boldSelf\b/.test(rule.rule),
  };
}

function hasRules(schema: JsonSchema): boolean {
  if (schema['x-kubernetes-validations']?.length) return true;
  const inner = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return inner.some((one) => typeof one === 'object' && hasRules(one));
}

interface Evaluation {
  readonly compile: (rule: ValidationRule) => CompiledRule;
  readonly values: Values;
  readonly causes: StatusCause[];
}

function evaluate(value: unknown, old: unknown, schema: JsonSchema, path: string, evaluation: Evaluation): void {
  // What an update leaves as it was is not judged again by rules that came later; rules about the change itself are.
  const unchanged = old !== undefined && sameJson(value, old);
  for (const rule of schema['x-kubernetes-validations'] ?? []) {
    const compiled = evaluation.compile(rule);
    if (unchanged && !compiled.transition) continue;
    const cause = check(compiled, value, old, schema, path, evaluation.values);
    if (cause) evaluation.causes.push(cause);
  }
  if (Array.isArray(value) && schema.items) {
    for (const [index, item] of value.entries()) {
      evaluate(item, formerItem(old, item, schema), schema.items, `${path}[${index}]`, evaluation);
    }
  } else if (isRecord(value)) {
    for (const [name, item] of Object.entries(value)) {
      const inner = schema.properties?.[name] ?? schema.additionalProperties;
      if (typeof inner !== 'object' || item === null) continue;
      evaluate(item, isRecord(old) ? old[name] : undefined, inner, path ? `${path}.${name}` : name, evaluation);
    }
  }
}

function check(
  { rule, program, message, transition }: CompiledRule,
  value: unknown,
  old: unknown,
  schema: JsonSchema,
  path: string,
  values: Values,
): StatusCause | undefined {
  if (transition && old === undefined && !rule.optionalOldSelf) return undefined;
  const field = (path || '<nil>') + (rule.fieldPath ?? '');
  const shown = isRecord(value) || Array.isArray(value) ? undefined : value;
  try {
    const oldSelf = old === undefined ? undefined : toCel(old, schema, values);
    const scope = {
      self: toCel(value, schema, values),
      oldSelf: rule.optionalOldSelf
        ? old === undefined
          ? values.absent({})
          : values.present({ self: oldSelf })
        : oldSelf,
    };
    if (program(scope) === true) return undefined;
    return shownCause(field, shown, explanation(rule, message, scope), rule.reason);
  } catch (error) {
    return shownCause(field, shown, `rule compile/run error: ${firstLine(error)} for rule: ${rule.rule}`, undefined);
  }
}

/** A message that cannot be made, or is not one line of text, gives way to the plain one. */
function explanation(rule: ValidationRule, program: CelProgram | undefined, scope: Record<string, unknown>): string {
  const plain = rule.message || `failed rule: ${rule.rule}`;
  if (!program) return plain;
  try {
    const text = program(scope);
    return typeof text === 'string' && text.trim() !== '' && !text.includes('\n') ? text.trim() : plain;
  } catch {
    return plain;
  }
}

/** Objects and lists are not repeated in the message: "Invalid value: replicas must not exceed max". */
function shownCause(field: string, value: unknown, text: string, reason: string | undefined): StatusCause {
  if (value !== undefined) return { ...invalidValue(field, value, text), reason: reason ?? 'FieldValueInvalid' };
  return { reason: reason ?? 'FieldValueInvalid', message: `Invalid value: ${text}`, field };
}

/** JSON as CEL values: integers are int (BigInt), other numbers double, times and durations what they say. */
function toCel(value: unknown, schema: JsonSchema | undefined, values: Values): unknown {
  if (typeof value === 'number') return schema?.type !== 'number' && Number.isInteger(value) ? BigInt(value) : value;
  if (typeof value === 'string') return textValue(value, schema, values);
  if (Array.isArray(value)) return value.map((item) => toCel(item, schema?.items, values));
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => {
      const declared = schema?.properties?.[name];
      const inner = declared ?? schema?.additionalProperties;
      const known = declared ? escapeMember(name) : name;
      return [known, toCel(item, typeof inner === 'object' ? inner : undefined, values)];
    }),
  );
}

function textValue(text: string, schema: JsonSchema | undefined, values: Values): unknown {
  if (schema?.['x-kubernetes-int-or-string']) return text;
  switch (schema?.format) {
    case 'date-time':
      return values.timestamp({ self: text });
    case 'date':
      return values.timestamp({ self: `${text}T00:00:00Z` });
    case 'duration':
      return values.duration({ self: text });
    default:
      return text;
  }
}
