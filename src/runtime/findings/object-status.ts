// SPDX-License-Identifier: Apache-2.0
// What an object's status says of it, in the members of Istio's own status
// (https://istio.io/latest/docs/reference/config/meta/v1beta1/istio-status/): conditions, validationMessages and
// observedGeneration. An object that is taken as it is has none of them: writing to thousands of objects that they are
// well tells nobody anything, and costs every watcher an event.
import { DIAGNOSTICS, type Diagnostic, isOfProxies, isRefused, shownCode } from '../../api/diagnostics.ts';
import { isRecord } from '../../api/shape.ts';
import { describe } from '../cluster/validation.ts';

/** False while the control plane leaves the object out. Written by one replica. */
export const RECONCILED = 'Reconciled';
/** False while a proxy refuses what the object asks for. Written by the replica that the proxy told. */
export const PROGRAMMED = 'Programmed';

const MAX_MESSAGE = 1_000;
/** Of a list that could be longer than the object itself. */
const MAX_MESSAGES = 20;

export interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime?: string;
  readonly [member: string]: unknown;
}

export interface ObjectStatus {
  readonly conditions: readonly Condition[];
  readonly validationMessages: readonly unknown[];
  readonly observedGeneration: number | undefined;
}

/** Which of the parts this writer may change now. */
export interface Authorship {
  /** Reconciled, validationMessages and observedGeneration. */
  readonly ofValidation: boolean;
  /** Whether a Programmed condition that we do not ask for is ours to remove. */
  readonly ofRefusal: boolean;
}

/** Of anything that stands in an object's status; what has another shape is nobody's condition. */
export function readStatus(raw: unknown): ObjectStatus {
  const { conditions, validationMessages, observedGeneration } = isRecord(raw) ? raw : {};
  const generation = Number(observedGeneration);
  return {
    conditions: Array.isArray(conditions) ? conditions.filter(isCondition) : [],
    validationMessages: Array.isArray(validationMessages) ? validationMessages : [],
    observedGeneration: observedGeneration === undefined || Number.isNaN(generation) ? undefined : generation,
  };
}

/** The status after it is brought up to date with `diagnostics`; others' conditions stay as they are. */
export function nextStatus(
  before: ObjectStatus,
  diagnostics: readonly Diagnostic[],
  { generation, nowMs, may }: { generation: number; nowMs: number; may: Authorship },
): ObjectStatus {
  const refusals = diagnostics.filter(isOfProxies);
  const remarks = diagnostics.filter((found) => !isOfProxies(found));
  const errors = remarks.filter(isRefused);
  const held = (type: string) => before.conditions.find((condition) => condition.type === type);
  const failed = (type: string, reason: string, found: readonly Diagnostic[], message: string): Condition => {
    const more = found.length > 1 ? ` (and ${found.length - 1} more)` : '';
    const since = held(type)?.status === 'False' ? held(type)?.lastTransitionTime : undefined;
    return {
      type,
      status: 'False',
      reason,
      message: `${message.slice(0, MAX_MESSAGE)}${more}`,
      observedGeneration: generation,
      lastTransitionTime: since ?? new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z'),
    };
  };
  const [error] = errors;
  const reconciled = error && failed(RECONCILED, 'Invalid', errors, describe(error));
  const [refusal] = refusals;
  const programmed = refusal && failed(PROGRAMMED, reasonOf(refusal), refusals, refusal.message);
  const others = before.conditions.filter(({ type }) => type !== RECONCILED && type !== PROGRAMMED);
  const conditions = [
    ...others,
    may.ofValidation ? reconciled : held(RECONCILED),
    programmed ?? (may.ofRefusal ? undefined : held(PROGRAMMED)),
  ].filter((condition) => condition !== undefined);
  const validationMessages = may.ofValidation
    ? remarks.slice(0, MAX_MESSAGES).map(validationMessage)
    : before.validationMessages;
  const isOurs = validationMessages.length > 0 || conditions.length > others.length;
  const observed = isOurs ? generation : undefined;
  return {
    conditions,
    validationMessages,
    observedGeneration: may.ofValidation ? observed : before.observedGeneration,
  };
}

/** Of a Programmed condition. */
export const SECRET_NOT_SERVED = 'SecretNotServed';

function reasonOf({ code }: Diagnostic): string {
  return code === 'ISM0202' ? SECRET_NOT_SERVED : 'RefusedByEnvoy';
}

/** Istio's AnalysisMessageBase, and the words. */
function validationMessage(diagnostic: Diagnostic): Record<string, unknown> {
  const { code, severity } = diagnostic;
  return {
    type: { code: shownCode(diagnostic), name: DIAGNOSTICS[code].title },
    level: severity.toUpperCase(),
    message: describe(diagnostic).slice(0, MAX_MESSAGE),
  };
}

/** As a merge patch of the status; empty parts are removed. */
export function statusPatch(next: ObjectStatus): Record<string, unknown> {
  return {
    conditions: next.conditions.length > 0 ? next.conditions : null,
    validationMessages: next.validationMessages.length > 0 ? next.validationMessages : null,
    observedGeneration: next.observedGeneration ?? null,
  };
}

function isCondition(raw: unknown): raw is Condition {
  return isRecord(raw) && typeof raw['type'] === 'string' && typeof raw['status'] === 'string';
}
