// SPDX-License-Identifier: Apache-2.0

/** One line of `make bench`: the figure, what was measured, what is aimed at. */
export function print(figure: string, value: string, aim: string): void {
  console.log(`${figure.padEnd(64)} ${value.padStart(10)}   ${aim}`);
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
