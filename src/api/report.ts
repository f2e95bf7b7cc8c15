// SPDX-License-Identifier: Apache-2.0
import { DIAGNOSTICS, type Diagnostic, type DiagnosticCode, type ObjectRef, type Severity } from './diagnostics.ts';

/** Line of a field (`spec.http[0].route`) in the text that an object was read from. */
export type Locate = (field: string) => number | undefined;

/** Collects what is to be said of one object while it is decoded. */
export class Report {
  readonly diagnostics: Diagnostic[] = [];
  readonly #object: ObjectRef;
  readonly #locate: Locate | undefined;

  constructor(object: ObjectRef, locate?: Locate) {
    this.#object = object;
    this.#locate = locate;
  }

  /** `severity` only where it differs from the code's own. */
  add(code: DiagnosticCode, field: string, message: string, cure: string, severity?: Severity): void {
    this.diagnostics.push(diagnose(this.#object, code, field, message, cure, { severity, locate: this.#locate }));
  }

  /** Number of errors so far; any at all means that the object is left out. */
  get errors(): number {
    return this.diagnostics.filter((d) => d.severity === 'error').length;
  }
}

export function diagnose(
  object: ObjectRef,
  code: DiagnosticCode,
  field: string,
  message: string,
  cure: string,
  options: { severity?: Severity | undefined; locate?: Locate | undefined } = {},
): Diagnostic {
  const line = options.locate?.(field);
  const severity = options.severity ?? DIAGNOSTICS[code].severity;
  return { code, severity, object, field, message, cure, ...(line === undefined ? {} : { line }) };
}
