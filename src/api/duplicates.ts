// SPDX-License-Identifier: Apache-2.0
import type { At } from './shape.ts';

/** Each value may be there once. */
export function reportDuplicates(values: readonly string[], field: string, at: At): void {
  const firsts = new Map<string, number>();
  values.forEach((value, i) => {
    const first = firsts.get(value);
    if (first === undefined) firsts.set(value, i);
    else {
      const message = `${value} is there already, at ${field}[${first}]`;
      at.report.add('ISM0009', `${field}[${i}]`, message, 'remove one of them');
    }
  });
}
