// SPDX-License-Identifier: Apache-2.0
import type { At } from './shape.ts';

/** Each value may be there once. */
export function reportDuplicates(values: readonly string[], field: string, at: At): void {
  const firsts = new Map<string, number>();
  values.forEach((value, i) => {
    const first = firsts.get(value);
    if (first === undefined) firsts.set(value, i);
    else reportTwice(value, `${field}[${i}]`, `${field}[${first}]`, at);
  });
}

export function reportTwice(value: string, field: string, first: string, at: At): void {
  at.report.add('ISM0009', field, `${value} is there already, at ${first}`, 'remove one of them');
}
