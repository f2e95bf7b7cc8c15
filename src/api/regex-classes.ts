// SPDX-License-Identifier: Apache-2.0
// RE2's classes of characters, as members of a JavaScript class under the `v` flag.
import { RegexFault } from './regex-fault.ts';

/** A piece of an expression: as JavaScript, its instructions in RE2, and how often counted repetitions copy a part of it. */
export interface Fragment {
  readonly source: string;
  readonly size: number;
  readonly repeats: number;
}

export function literal(character: string): Fragment {
  return { source: `\\u{${character.codePointAt(0)!.toString(16)}}`, size: 1, repeats: 1 };
}

/** ASCII only, and `\s` without the vertical tab. */
const PERL: Readonly<Record<string, string>> = { d: '[0-9]', s: '[\\t\\n\\f\\r ]', w: '[0-9A-Za-z_]' };

/** `\d`, `\W`, ... */
export function perlClass(written: string): string {
  const letter = written[1]!;
  const set = PERL[letter.toLowerCase()]!;
  return letter === letter.toLowerCase() ? set : `[^${set}]`;
}

const POSIX: Readonly<Record<string, string>> = {
  alnum: '[0-9A-Za-z]',
  alpha: '[A-Za-z]',
  ascii: '[\\x00-\\x7f]',
  blank: '[\\t ]',
  cntrl: '[\\x00-\\x1f\\x7f]',
  digit: '[0-9]',
  graph: '[\\x21-\\x7e]',
  lower: '[a-z]',
  print: '[\\x20-\\x7e]',
  punct: '[\\x21-\\x2f\\x3a-\\x40\\x5b-\\x60\\x7b-\\x7e]',
  space: '[\\t\\n\\v\\f\\r ]',
  upper: '[A-Z]',
  word: '[0-9A-Za-z_]',
  xdigit: '[0-9A-Fa-f]',
};

/** The name between `[:` and `:]`, with `^` for its opposite. */
export function classEscape(name: string): string {
  const set = POSIX[name.replace('^', '')];
  if (set === undefined) throw new RegexFault(`[:${name}:] does not exist there`);
  return name.startsWith('^') ? `[^${set}]` : set;
}

/** `\pL`, `\P{Greek}`, `\p{^Lu}`: general categories and scripts. */
export function unicodeClass(written: string): string {
  const name = written.slice(2).replace(/[{}^]/g, '');
  const negated = (written[1] === 'P') !== written.includes('^');
  const sign = negated ? 'P' : 'p';
  if (name === 'Any') return negated ? '[]' : '\\p{Any}';
  for (const property of ['General_Category', 'Script']) {
    const js = `\\${sign}{${property}=${name}}`;
    if (isExpression(js)) return js;
  }
  throw new RegexFault(`${written} names no class of characters`);
}

function isExpression(source: string): boolean {
  try {
    return new RegExp(source, 'v').source !== '';
  } catch {
    return false;
  }
}
