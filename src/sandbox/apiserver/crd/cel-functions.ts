// SPDX-License-Identifier: Apache-2.0
// The functions that Kubernetes adds to CEL: lists, texts, regular expressions, sets, and the values of cel-values.ts.
// https://kubernetes.io/docs/reference/using-api/cel/#cel-options-language-features-and-libraries
import { isDeepStrictEqual } from 'node:util';
import type { Environment } from '@marcbachmann/cel-js';
import { registerValues } from './cel-values.ts';
import { compilePattern } from './schema-validation.ts';

type Registration = readonly [signature: string, implementation: (...values: never[]) => unknown];

const LISTS: readonly Registration[] = [
  [
    'list.isSorted(): bool',
    (list: unknown[]) => list.every((item, index) => index === 0 || lessOrEqual(list[index - 1], item)),
  ],
  ['list.sum(): dyn', (list: (bigint | number)[]) => list.reduce<bigint | number>(add, 0n)],
  ['list.min(): dyn', (list: unknown[]) => extreme(list, (a, b) => lessOrEqual(a, b), 'min')],
  ['list.max(): dyn', (list: unknown[]) => extreme(list, (a, b) => lessOrEqual(b, a), 'max')],
  [
    'list.indexOf(dyn): int',
    (list: unknown[], item: unknown) => BigInt(list.findIndex((one) => isDeepStrictEqual(one, item))),
  ],
  [
    'list.lastIndexOf(dyn): int',
    (list: unknown[], item: unknown) => BigInt(list.findLastIndex((one) => isDeepStrictEqual(one, item))),
  ],
  ['list.distinct(): list', (list: unknown[]) => distinct(list)],
  ['list.reverse(): list', (list: unknown[]) => [...list].reverse()],
  ['list.sort(): list', (list: unknown[]) => [...list].sort((a, b) => (lessOrEqual(a, b) ? -1 : 1))],
  ['list.flatten(): list', (list: unknown[]) => list.flat()],
];

const TEXTS: readonly Registration[] = [
  ['string.find(string): string', (text: string, pattern: string) => compilePattern(pattern).exec(text)?.[0] ?? ''],
  ['string.findAll(string): list', (text: string, pattern: string) => findAll(text, pattern)],
  [
    'string.findAll(string, int): list',
    (text: string, pattern: string, limit: bigint) => findAll(text, pattern, limit),
  ],
  ['string.charAt(int): string', (text: string, index: bigint) => [...text][Number(index)] ?? ''],
  ['string.replace(string, string): string', (text: string, from: string, to: string) => text.split(from).join(to)],
  ['string.replace(string, string, int): string', replaceSome],
  ['string.format(list): string', formatText],
  ['string.reverse(): string', (text: string) => [...text].reverse().join('')],
];

export function registerKubernetesFunctions(environment: Environment): void {
  for (const [signature, implementation] of [...LISTS, ...TEXTS]) {
    environment.registerFunction(signature, implementation as (...values: unknown[]) => unknown);
  }
  registerValues(environment);
  registerSets(environment);
}

/** sets.contains(a, b) and kin: functions of a name that is no value. */
class SetFunctions {}

function registerSets(environment: Environment): void {
  environment.registerType('Sets', SetFunctions);
  environment.registerConstant('sets', 'Sets', new SetFunctions());
  const has = (list: unknown[], item: unknown) => list.some((one) => isDeepStrictEqual(one, item));
  const contains = (a: unknown[], b: unknown[]) => b.every((item) => has(a, item));
  const functions: readonly (readonly [string, (a: unknown[], b: unknown[]) => boolean])[] = [
    ['contains', contains],
    ['equivalent', (a, b) => contains(a, b) && contains(b, a)],
    ['intersects', (a, b) => a.some((item) => has(b, item))],
  ];
  for (const [name, implementation] of functions) {
    environment.registerFunction(`Sets.${name}(list, list): bool`, ((_: SetFunctions, a: unknown[], b: unknown[]) =>
      implementation(a, b)) as (...values: unknown[]) => unknown);
  }
}

/** %s, %d, %f, %x, %b, %o, %e, each with a precision where that makes sense; %% is a sign of its own. */
function formatText(text: string, values: unknown[]): string {
  let index = 0;
  return text.replace(/%(?:\.(\d+))?([sdfexXbo%])/g, (_, digits: string | undefined, verb: string) => {
    if (verb === '%') return '%';
    if (index >= values.length) throw new Error(`index ${index} out of range`);
    const value = values[index++];
    const precision = digits === undefined ? 6 : Number(digits);
    switch (verb) {
      case 'd':
        return String(value);
      case 'f':
        return Number(value).toFixed(precision);
      case 'e':
        return Number(value).toExponential(precision);
      case 'x':
      case 'X': {
        const hex = typeof value === 'bigint' ? value.toString(16) : Buffer.from(String(value)).toString('hex');
        return verb === 'X' ? hex.toUpperCase() : hex;
      }
      case 'b':
        return BigInt(value as bigint | boolean).toString(2);
      case 'o':
        return BigInt(value as bigint).toString(8);
      default:
        return shownText(value);
    }
  });
}

function shownText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(shownText).join(', ')}]`;
  if (value === null) return 'null';
  if (typeof value !== 'object') return String(value);
  if (value instanceof Date) return value.toISOString().replace(/\.000Z$/, 'Z');
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, item]) => `${name}: ${shownText(item)}`).join(', ')}}`;
}

function findAll(text: string, pattern: string, limit = -1n): string[] {
  const { source, flags } = compilePattern(pattern);
  const all = [...text.matchAll(new RegExp(source, `${flags}g`))].map(([found]) => found);
  return limit < 0n ? all : all.slice(0, Number(limit));
}

function replaceSome(text: string, from: string, to: string, count: bigint): string {
  if (count < 0n) return text.split(from).join(to);
  let out = text;
  let at = 0;
  for (let left = count; left > 0n; left--) {
    const found = out.indexOf(from, at);
    if (found < 0) break;
    out = out.slice(0, found) + to + out.slice(found + from.length);
    at = found + to.length;
  }
  return out;
}

function distinct(list: readonly unknown[]): unknown[] {
  return list.filter((item, index) => list.findIndex((one) => isDeepStrictEqual(one, item)) === index);
}

function extreme(list: readonly unknown[], before: (a: unknown, b: unknown) => boolean, name: string): unknown {
  if (list.length === 0) throw new Error(`${name} called on empty list`);
  return list.reduce((best, item) => (before(best, item) ? best : item));
}

function lessOrEqual(a: unknown, b: unknown): boolean {
  return (a as string | number | bigint) <= (b as string | number | bigint);
}

function add(a: bigint | number, b: bigint | number): bigint | number {
  return typeof a === 'bigint' && typeof b === 'bigint' ? a + b : Number(a) + Number(b);
}
