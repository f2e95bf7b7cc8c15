// SPDX-License-Identifier: Apache-2.0
import type { StatusCause } from '../status.ts';
import { invalidValue, required, unsupported } from '../validation/causes.ts';
import { qualifiedNameProblem } from '../validation/names.ts';
import { validateLabels } from './metadata-validation.ts';

/** metav1.LabelSelector. */
export interface SelectorSpec {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values?: string[] }[];
}

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

/** "a=b,c in (d,e),!f": the form that kubectl and the scale subresource show. */
export function selectorText(selector: SelectorSpec | undefined): string {
  const terms = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => ({ key, text: `${key}=${value}` }));
  for (const { key, operator, values = [] } of selector?.matchExpressions ?? []) {
    const list = `(${[...values].sort().join(',')})`;
    const text = { In: `${key} in ${list}`, NotIn: `${key} notin ${list}`, Exists: key, DoesNotExist: `!${key}` }[
      operator
    ];
    terms.push({ key, text: text ?? key });
  }
  return terms
    .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    .map(({ text }) => text)
    .join(',');
}

export function validateSelector(selector: SelectorSpec, path: string): StatusCause[] {
  const causes = validateLabels(selector.matchLabels, `${path}.matchLabels`);
  for (const [index, { key, operator, values = [] }] of (selector.matchExpressions ?? []).entries()) {
    const here = `${path}.matchExpressions[${index}]`;
    const problem = qualifiedNameProblem(key);
    if (problem) causes.push(invalidValue(`${here}.key`, key, problem));
    if (!OPERATORS.includes(operator)) causes.push(unsupported(`${here}.operator`, operator, OPERATORS));
    else if (/In$/.test(operator) && values.length === 0) {
      causes.push(required(`${here}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
    }
  }
  return causes;
}
