// SPDX-License-Identifier: Apache-2.0
import { DIAGNOSTICS, type Diagnostic, type DiagnosticCode, type ObjectRef, type Severity } from './diagnostics.ts';

/** Line of a field (`spec.http[0].route`) in the text that an object was read from. */
export type Locate = (field: string) => number | undefined;

/** Who has mended so many sees the others; a status, a log and a page hold no ten thousand. */
const MAX_DIAGNOSTICS = 100;

/** Collects what is to be said of one object while it is decoded. */
export class Report {
  readonly diagnostics: Diagnostic[] = [];
  #errors = 0;
  #warnings = 0;
  readonly #object: ObjectRef;
  readonly #locate: Locate | undefined;

  constructor(object: ObjectRef, locate?: Locate) {
    this.#object = object;
    this.#locate = locate;
  }

  /** `severity` only where it differs from the code's own. */
  add(code: DiagnosticCode, field: string, message: string, cure: string, severity?: Severity): void {
    const isError = (severity ?? DIAGNOSTICS[code].severity) === 'error';
    if (isError) this.#errors++;
    else this.#warnings++;
    // Counted apart, so that no number of warnings hides the error for which the object is left out.
    const count = isError ? this.#errors : this.#warnings;
    if (count > MAX_DIAGNOSTICS) return;
    const told = count < MAX_DIAGNOSTICS ? message : `${message} (the last one told: there may be more)`;
    this.diagnostics.push(diagnose(this.#object, code, field, told, cure, { severity, locate: this.#locate }));
  }

  /** Number of errors so far; any at all means that the object is left out. */
  get errors(): number {
    return this.#errors;
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
  const said = { field: clipped(field), message: clipped(message), cure: clipped(cure) };
  const severity = options.severity ?? DIAGNOSTICS[code].severity;
  return { code, severity, object, ...said, ...(line === undefined ? {} : { line }) };
}

/** A value of a megabyte is not repeated in what is said of it. */
function clipped(text: string): string {
  return text.length <= 1000 ? text : `${text.slice(0, 500)} ... ${text.slice(-300)}`;
}
