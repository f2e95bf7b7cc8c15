// SPDX-License-Identifier: Apache-2.0
// Expressions and patterns are the user's, and evaluated on the one thread that serves everybody: nested loops over an
// object's lists, or a pattern that tries all ways to match, could take for ever.
import { createContext, Script } from 'node:vm';
import type { StatusCause } from '../status.ts';
import { forbiddenField } from '../validation/causes.ts';

/**
 * Far more than any sensible rule takes, also where the machine has little time for us. Kubernetes counts costs instead,
 * which it sets to about a second's worth per request.
 */
const LIMIT_MS = 3_000;

export class EvaluationTooLong extends Error {
  constructor() {
    super('validation failed due to running out of cost budget, no further validation rules will be run');
  }
}

const CONTEXT = createContext({ evaluate: undefined as (() => unknown) | undefined });
const RUN = new Script('evaluate()');

/**
 * What `evaluate` returns or throws. It is ended wherever it is, without its `catch` and `finally`: it must leave nothing
 * half done. One inside another is the other's.
 * @throws EvaluationTooLong
 */
export function evaluateWithin<T>(evaluate: () => T, limitMs = LIMIT_MS): T {
  if (CONTEXT['evaluate'] !== undefined) return evaluate();
  CONTEXT['evaluate'] = evaluate;
  try {
    // What runs is our own code; of the context only its clock is wanted.
    return RUN.runInContext(CONTEXT, { timeout: limitMs }) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw new EvaluationTooLong();
    throw error;
  } finally {
    CONTEXT['evaluate'] = undefined;
  }
}

/** As evaluateWithin; too long is a cause like others. */
export function causesWithin(validate: () => StatusCause[], limitMs = LIMIT_MS): StatusCause[] {
  try {
    return evaluateWithin(validate, limitMs);
  } catch (error) {
    if (error instanceof EvaluationTooLong) return [forbiddenField('<nil>', error.message)];
    throw error;
  }
}
