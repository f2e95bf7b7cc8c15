// SPDX-License-Identifier: Apache-2.0
import { replaceMatches, toJavaScript } from '../api/regex.ts';
import type { TextMatch } from './route-types.ts';

/** Whether a match takes a text; an expression has to take all of it, as RE2 does in Envoy. */
export function matchesText(match: TextMatch, value: string): boolean {
  switch (match.kind) {
    case 'exact':
      return value === match.value;
    case 'prefix':
      return value.startsWith(match.value);
    case 'regex':
      return toJavaScript(match.value).test(value);
  }
}

/** Every match of an expression by `rewrite`, as RE2 does it in Envoy. */
export function replaceText(text: string, expression: string, rewrite: string): string {
  return replaceMatches(text, expression, rewrite);
}
