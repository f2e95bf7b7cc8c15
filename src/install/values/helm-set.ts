// SPDX-License-Identifier: Apache-2.0
// Helm's syntax of --set: `a.b=1,c[0].d=x,e={1,2}`. A backslash takes the next character as it is.
import { ValuesError } from './values-error.ts';

export type RawValue = string | number | boolean | null | RawValue[] | RawTree;
export interface RawTree {
  [name: string]: RawValue;
}

/** One `name=value` of a flag: its steps (numbers are indexes of lists) and what is to stand there. */
export interface Assignment {
  readonly steps: readonly (string | number)[];
  readonly value: RawValue;
}

const MAX_INDEX = 65_536;
/** They would reach the prototype of what they are set on. */
const RESERVED = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Reads the argument of one `--set` (or, with `asText`, of one `--set-string`, where every value is text).
 * @throws ValuesError that names the flag's text and what is wrong with it
 */
export function parseSet(text: string, asText = false): Assignment[] {
  const reader = new SetReader(text, asText);
  const assignments: Assignment[] = [];
  while (!reader.atEnd) assignments.push(reader.assignment());
  return assignments;
}

/** Writes `assignment` into `tree`: missing groups and lists are made, and lists filled up with null. */
export function assign(tree: RawTree, { steps, value }: Assignment): void {
  let at: RawTree | RawValue[] = tree;
  for (const [depth, step] of steps.entries()) {
    const slots = at as Record<string | number, RawValue>;
    if (Array.isArray(at) && typeof step === 'number') while (at.length < step) at.push(null);
    if (depth === steps.length - 1) slots[step] = value;
    else {
      const isList = typeof steps[depth + 1] === 'number';
      const current = slots[step];
      const fits = isList ? Array.isArray(current) : isTree(current);
      if (!fits) slots[step] = isList ? [] : {};
      at = slots[step] as RawTree | RawValue[];
    }
  }
}

export function isTree(value: unknown): value is RawTree {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

class SetReader {
  readonly #text: string;
  readonly #asText: boolean;
  #at = 0;

  constructor(text: string, asText: boolean) {
    this.#text = text;
    this.#asText = asText;
  }

  get atEnd(): boolean {
    return this.#at >= this.#text.length;
  }

  assignment(): Assignment {
    const steps: (string | number)[] = [];
    let afterIndex = false;
    for (;;) {
      const { word, end } = this.#until('=[.,');
      // No name follows an index in `a[0][1]`, `a[0].b` and `a[0]=`.
      if (word !== '' || !afterIndex) steps.push(this.#name(word));
      afterIndex = end === '[';
      if (end === '=') return { steps, value: this.#value() };
      if (end === '[') steps.push(this.#index());
      else if (end !== '.') {
        throw this.#wrong(`"${steps.join('.')}" has no value; write NAME=VALUE, as in global.tag=1.2.3`);
      }
    }
  }

  #name(word: string): string {
    if (word === '') throw this.#wrong('a name is empty; write NAME=VALUE, as in global.tag=1.2.3');
    if (RESERVED.has(word)) throw this.#wrong(`"${word}" cannot be a name`);
    return word;
  }

  #index(): number {
    const { word, end } = this.#until(']');
    if (end !== ']' || !/^\d+$/.test(word)) throw this.#wrong('an index is written as [0], [1] and so on');
    if (Number(word) > MAX_INDEX) throw this.#wrong(`the index ${word} is above ${MAX_INDEX}`);
    const next = this.#text[this.#at];
    if (next !== '=' && next !== '.' && next !== '[') throw this.#wrong(`after [${word}] comes "=", "." or "["`);
    return Number(word);
  }

  #value(): RawValue {
    if (this.#text[this.#at] !== '{') return this.#scalar(this.#until(',').word);
    this.#at++;
    const list: RawValue[] = [];
    for (;;) {
      const { word, end } = this.#until(',}');
      if (word !== '' || end === ',') list.push(this.#scalar(word));
      if (end === '') throw this.#wrong('a list is written as {a,b}: the "}" is missing');
      if (end === ',') continue;
      if (!this.atEnd && this.#text[this.#at++] !== ',') throw this.#wrong('after a list comes "," or nothing');
      return list;
    }
  }

  /** Up to one of `stops`, which is taken too; `end` is '' at the end of the text. */
  #until(stops: string): { word: string; end: string } {
    let word = '';
    while (!this.atEnd) {
      const char = this.#text[this.#at++]!;
      if (char === '\\' && !this.atEnd) word += this.#text[this.#at++];
      else if (stops.includes(char)) return { word, end: char };
      else word += char;
    }
    return { word, end: '' };
  }

  #scalar(word: string): RawValue {
    if (this.#asText) return word;
    if (word === 'true' || word === 'false') return word === 'true';
    if (word === 'null') return null;
    const isNumber = /^(0|-?[1-9]\d*)$/.test(word) && Number.isSafeInteger(Number(word));
    return isNumber ? Number(word) : word;
  }

  #wrong(what: string): ValuesError {
    return new ValuesError(`--set${this.#asText ? '-string' : ''} ${this.#text}: ${what}`);
  }
}
