// SPDX-License-Identifier: Apache-2.0
// The CEL that the API offers: what rules of custom resources, admission policies and match conditions are compiled in.
// https://kubernetes.io/docs/reference/using-api/cel/
import { Environment } from '@marcbachmann/cel-js';
import { registerKubernetesFunctions } from './cel-functions.ts';

export type CelProgram = (context: Record<string, unknown>) => unknown;

/** An environment that knows `variables`, of dynamic type, and `optionals`, which hold a value of dynamic type or none. */
export function createCelEnvironment(variables: readonly string[], optionals: readonly string[] = []): Environment {
  const environment = new Environment({
    unlistedVariablesAreDyn: false,
    homogeneousAggregateLiterals: false,
    enableOptionalTypes: true,
  });
  for (const name of variables) environment.registerVariable(name, 'dyn');
  for (const name of optionals) environment.registerVariable(name, 'optional<dyn>');
  registerKubernetesFunctions(environment);
  return environment;
}

/** Throws what the compiler has to say, types included. */
export function compileCel(expression: string, environment: Environment): CelProgram {
  const program = environment.parse(expression);
  const check = program.check();
  if (!check.valid) throw check.error;
  return program as unknown as CelProgram;
}

/** The compiler's complaint in one line, or undefined. */
export function celProblem(expression: string, environment: Environment): string | undefined {
  try {
    compileCel(expression, environment);
    return undefined;
  } catch (error) {
    return firstLine(error);
  }
}

/** CEL's errors repeat the source below their first line. */
export function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}

/** JSON as CEL values without a schema: whole numbers are meant as integers. */
export function dynamicCelValue(value: unknown): unknown {
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(dynamicCelValue);
  if (typeof value !== 'object' || value === null) return value ?? null;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, dynamicCelValue(item)]));
}
