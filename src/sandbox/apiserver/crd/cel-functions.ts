// SPDX-License-Identifier: Apache-2.0
// The functions that Kubernetes adds to CEL, as far as CRDs of service meshes use them.
// https://kubernetes.io/docs/reference/using-api/cel/#kubernetes-cel-libraries
import { isIP } from 'node:net';
import type { Environment } from '@marcbachmann/cel-js';
import { compilePattern } from './schema-validation.ts';

type Registration = readonly [signature: string, implementation: (...values: never[]) => unknown];

const FUNCTIONS: readonly Registration[] = [
  ['isURL(string): bool', (text: string) => URL.canParse(text)],
  ['isIP(string): bool', (text: string) => isIP(text) !== 0],
  ['isCIDR(string): bool', isCidr],
  ['string.find(string): string', (text: string, pattern: string) => compilePattern(pattern).exec(text)?.[0] ?? ''],
  [
    'list.isSorted(): bool',
    (list: unknown[]) => list.every((item, index) => index === 0 || lessOrEqual(list[index - 1], item)),
  ],
  ['list.sum(): dyn', (list: (bigint | number)[]) => list.reduce<bigint | number>(add, 0n)],
  ['list.indexOf(dyn): int', (list: unknown[], item: unknown) => BigInt(list.indexOf(item))],
];

export function registerKubernetesFunctions(environment: Environment): void {
  for (const [signature, implementation] of FUNCTIONS) {
    environment.registerFunction(signature, implementation as (...values: unknown[]) => unknown);
  }
}

function isCidr(text: string): boolean {
  const [address = '', bits = ''] = text.split('/');
  const family = isIP(address);
  return family !== 0 && /^\d+$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

function lessOrEqual(a: unknown, b: unknown): boolean {
  return (a as string | number | bigint) <= (b as string | number | bigint);
}

function add(a: bigint | number, b: bigint | number): bigint | number {
  return typeof a === 'bigint' && typeof b === 'bigint' ? a + b : Number(a) + Number(b);
}
