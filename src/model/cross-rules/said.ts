// SPDX-License-Identifier: Apache-2.0
import type { Diagnostic, ObjectRef } from '../../api/diagnostics.ts';
import { diagnose, type Locate } from '../../api/report.ts';
import type { Say } from './known.ts';

/** What was said, before it is known where it stands in a text. */
export type Said = Parameters<Say>;

export function saidBy(check: (say: Say) => void): readonly Said[] {
  const said: Said[] = [];
  check((...words) => said.push(words));
  return said;
}

/** What was said, as diagnostics: the very same object while the same is said. */
export class SaidDiagnostics {
  readonly #told = new WeakMap<Said, Told>();
  #byText: ReadonlyMap<string, Diagnostic> = new Map();

  /** One entry may give several services, and its mistake with each of them: it is told once. */
  of(said: readonly Said[], locate: (ref: ObjectRef) => Locate | undefined = () => undefined): readonly Diagnostic[] {
    const byText = new Map<string, Diagnostic>();
    for (const each of said) {
      const { text, diagnostic } = this.#toldOf(each, locate(each[0]));
      byText.set(text, diagnostic);
    }
    this.#byText = byText;
    return [...byText.values()];
  }

  #toldOf(said: Said, locate: Locate | undefined): Told {
    const known = this.#told.get(said);
    if (known !== undefined && known.locate === locate) return known;
    const [ref, ...words] = said;
    const diagnostic = diagnose(ref, ...words, { locate });
    const text = JSON.stringify(diagnostic);
    const told = { locate, text, diagnostic: this.#byText.get(text) ?? diagnostic };
    this.#told.set(said, told);
    return told;
  }
}

interface Told {
  readonly locate: Locate | undefined;
  readonly text: string;
  readonly diagnostic: Diagnostic;
}
