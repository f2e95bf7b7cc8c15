// SPDX-License-Identifier: Apache-2.0
// The labelSelector query parameter: a=b, a==b, a!=b, a in (b,c), a notin (b,c), a, !a, a>1, a<1; joined by commas.
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
import { badRequest } from '../status.ts';
import { labelValueProblem, qualifiedNameProblem } from '../validation/names.ts';

export type Labels = Readonly<Record<string, string>>;

export interface LabelSelector {
  readonly empty: boolean;
  matches(labels: Labels | undefined): boolean;
}

type Operator = 'in' | 'notin' | 'exists' | 'absent' | 'greater' | 'less';

interface Requirement {
  readonly key: string;
  readonly operator: Operator;
  readonly values: readonly string[];
}

const EVERYTHING: LabelSelector = { empty: true, matches: () => true };

/** Throws ApiError 400 with the real server's wording. */
export function parseLabelSelector(text: string): LabelSelector {
  if (text.trim() === '') return EVERYTHING;
  const requirements = new Parser(tokenize(text)).parse();
  return { empty: false, matches: (labels) => requirements.every((one) => satisfies(one, labels ?? {})) };
}

/** metav1.LabelSelector of an object's spec. An empty one selects everything, an absent one nothing. */
export function selectorFromSpec(
  spec:
    | {
        matchLabels?: Record<string, string>;
        matchExpressions?: { key: string; operator: string; values?: string[] }[];
      }
    | undefined,
): LabelSelector {
  if (!spec) return { empty: false, matches: () => false };
  const requirements: Requirement[] = Object.entries(spec.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'in',
    values: [value],
  }));
  for (const { key, operator, values = [] } of spec.matchExpressions ?? []) {
    const names: Readonly<Record<string, Operator>> = {
      In: 'in',
      NotIn: 'notin',
      Exists: 'exists',
      DoesNotExist: 'absent',
    };
    requirements.push({ key, operator: Object.hasOwn(names, operator) ? names[operator]! : 'exists', values });
  }
  return {
    empty: requirements.length === 0,
    matches: (labels) => requirements.every((one) => satisfies(one, labels ?? {})),
  };
}

function satisfies({ key, operator, values }: Requirement, labels: Labels): boolean {
  const has = Object.hasOwn(labels, key);
  const value = labels[key];
  switch (operator) {
    case 'in':
      return has && values.includes(value!);
    case 'notin':
      return !has || !values.includes(value!);
    case 'exists':
      return has;
    case 'absent':
      return !has;
    case 'greater':
    case 'less': {
      if (!has || !/^-?\d+$/.test(value!)) return false;
      const difference = BigInt(value!) - BigInt(values[0]!);
      return operator === 'greater' ? difference > 0n : difference < 0n;
    }
  }
}

interface Token {
  readonly kind: 'word' | 'symbol' | 'end';
  readonly text: string;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  for (const match of text.matchAll(/\s+|[^\s=!(),<>]+|[=!<>]+|[(),]/g)) {
    const part = match[0];
    if (/^\s/.test(part)) continue;
    if (/^[=!<>]/.test(part)) tokens.push(...splitSymbols(part));
    else tokens.push({ kind: /^[(),]$/.test(part) ? 'symbol' : 'word', text: part });
  }
  tokens.push({ kind: 'end', text: '' });
  return tokens;
}

/** Longest known operator first: "===" is "==" and "=". */
function splitSymbols(run: string): Token[] {
  const tokens: Token[] = [];
  let rest = run;
  while (rest !== '') {
    const two = rest.slice(0, 2);
    const text = two === '==' || two === '!=' ? two : rest.slice(0, 1);
    tokens.push({ kind: 'symbol', text });
    rest = rest.slice(text.length);
  }
  return tokens;
}

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  parse(): Requirement[] {
    const requirements: Requirement[] = [];
    for (;;) {
      requirements.push(this.#requirement());
      const next = this.#next();
      if (next.kind === 'end') return requirements;
      if (next.text !== ',') throw badRequest(`found '${next.text}', expected: ',' or 'end of string'`);
      const after = this.#peek();
      if (after.kind !== 'word' && after.text !== '!') {
        throw badRequest(`found '${after.text}', expected: identifier after ','`);
      }
    }
  }

  #requirement(): Requirement {
    if (this.#peek().text === '!') {
      this.#next();
      return this.#make(this.#key(), 'absent', []);
    }
    const key = this.#key();
    const next = this.#peek();
    if (next.kind === 'end' || next.text === ',') return this.#make(key, 'exists', []);
    this.#next();
    switch (next.text) {
      case '=':
      case '==':
        return this.#make(key, 'in', [this.#value()]);
      case '!=':
        return this.#make(key, 'notin', [this.#value()]);
      case 'in':
      case 'notin':
        return this.#make(key, next.text, this.#values());
      case '>':
      case '<':
        return this.#comparison(key, next.text === '>' ? 'greater' : 'less');
      default:
        throw bad(`found '${next.text}', expected: in, notin, =, ==, !=, gt, lt`);
    }
  }

  #comparison(key: string, operator: Operator): Requirement {
    const value = this.#value();
    if (!/^-?\d+$/.test(value)) {
      throw badRequest(
        `values[0]: Invalid value: ${JSON.stringify(value)}: for 'Gt', 'Lt' operators, the value must be an integer`,
      );
    }
    return this.#make(key, operator, [value]);
  }

  #key(): string {
    const token = this.#next();
    if (token.kind !== 'word') throw bad(`found '${token.text}', expected: identifier`);
    const problem = qualifiedNameProblem(token.text);
    if (problem) throw bad(`key: Invalid value: ${JSON.stringify(token.text)}: ${problem}`);
    return token.text;
  }

  #value(): string {
    const token = this.#peek();
    if (token.kind === 'end' || token.text === ',') return '';
    if (token.kind !== 'word') throw bad(`found '${token.text}', expected: identifier`);
    this.#next();
    return token.text;
  }

  #values(): string[] {
    const open = this.#next();
    if (open.text !== '(') throw bad(`found '${open.text}' expected: '('`);
    const values: string[] = [];
    for (;;) {
      const token = this.#next();
      if (token.kind === 'word') values.push(token.text);
      else if (token.text === ',') {
        if (this.#peek().kind !== 'word') values.push('');
      } else if (token.text === ')') return values.length > 0 ? values : [''];
      else throw bad(`found '${token.text}', expected: ',', or ')'`);
    }
  }

  #make(key: string, operator: Operator, values: readonly string[]): Requirement {
    for (const [index, value] of values.entries()) {
      const problem = operator === 'greater' || operator === 'less' ? undefined : labelValueProblem(value);
      if (problem) throw badRequest(`values[${index}][${key}]: Invalid value: ${JSON.stringify(value)}: ${problem}`);
    }
    return { key, operator, values };
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '' };
  }

  #next(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }
}

function bad(what: string): Error {
  return badRequest(`unable to parse requirement: ${what}`);
}
