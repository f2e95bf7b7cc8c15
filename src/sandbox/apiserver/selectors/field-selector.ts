// SPDX-License-Identifier: Apache-2.0
// The fieldSelector query parameter: a=b, a==b, a!=b; joined by commas; backslash escapes , = and \ in values.
import type { KubeObject } from '../../../kube/types.ts';
import { badRequest } from '../status.ts';

export interface FieldSelector {
  readonly empty: boolean;
  /** The name that `metadata.name=` pins, so that a list can be a lookup. */
  readonly exactName: string | undefined;
  matches(object: KubeObject): boolean;
}

/** Which fields of a kind may be selected, and how to refuse the others. */
export interface SelectableFields {
  readonly fields: Readonly<Record<string, (object: KubeObject) => string>>;
  /** Core kinds with fields of their own say "field label not supported: x". */
  readonly terse: boolean;
}

interface Term {
  readonly field: string;
  readonly value: string;
  readonly equal: boolean;
}

const NO_FIELDS: FieldSelector = { empty: true, exactName: undefined, matches: () => true };

export function parseFieldSelector(text: string, selectable: SelectableFields): FieldSelector {
  if (text === '') return NO_FIELDS;
  const terms = splitTerms(text).map(parseTerm);
  const read = terms.map((term) => {
    const getter = Object.hasOwn(selectable.fields, term.field) ? selectable.fields[term.field] : undefined;
    if (getter) return getter;
    if (selectable.terse) throw badRequest(`field label not supported: ${term.field}`);
    const known = Object.keys(selectable.fields).map((name) => JSON.stringify(name));
    throw badRequest(`${JSON.stringify(term.field)} is not a known field selector: only ${known.join(', ')}`);
  });
  return {
    empty: terms.length === 0,
    exactName: terms.find(({ field, equal }) => field === 'metadata.name' && equal)?.value,
    matches: (object) => terms.every((term, index) => (read[index]!(object) === term.value) === term.equal),
  };
}

function splitTerms(text: string): string[] {
  const terms: string[] = [];
  let current = '';
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') {
      current += text.slice(i, i + 2);
      i++;
    } else if (text[i] === ',') {
      terms.push(current);
      current = '';
    } else current += text[i];
  }
  return [...terms, current].filter((term) => term !== '');
}

function parseTerm(term: string): Term {
  const match = /^((?:[^=!\\]|\\.|!(?!=))*)(!=|==|=)(.*)$/s.exec(term);
  if (!match) throw badRequest(`invalid selector: '${term}'; can't understand '${term}'`);
  const [, field, operator, raw] = match as unknown as [string, string, string, string];
  return { field, value: unescapeValue(raw), equal: operator !== '!=' };
}

function unescapeValue(raw: string): string {
  let out = '';
  for (let i = 0; i < raw.length; i++) {
    const char = raw[i]!;
    if (char === '\\') {
      const next = raw[++i];
      if (next !== '\\' && next !== ',' && next !== '=') {
        throw badRequest(`invalid field selector: invalid escape sequence: \\${next ?? ''}`);
      }
      out += next;
    } else if (char === '=' || char === ',') {
      throw badRequest(`invalid field selector: unescaped character in value: ${char.charCodeAt(0)}`);
    } else out += char;
  }
  return out;
}
