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

/** One entry may give several services, and its mistake with each of them. */
export function diagnosticsOf(
  said: readonly Said[],
  locate: (ref: ObjectRef) => Locate | undefined = () => undefined,
): Diagnostic[] {
  const diagnostics = said.map(([ref, ...words]) => diagnose(ref, ...words, { locate: locate(ref) }));
  return [...new Map(diagnostics.map((d) => [JSON.stringify(d), d])).values()];
}
