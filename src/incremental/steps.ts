// SPDX-License-Identifier: Apache-2.0
// Work that can be laid aside: it stops after each small piece, and whoever does it decides when the next one is due.

/** Nothing that the work is done on may be changed by others before it is finished. */
export type Steps<T> = Generator<void, T, void>;

/** So many entries of a map, or comparisons of a sort, are one step. */
const STEP_ITEMS = 256;

/** All of it at once. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

/** What cannot be laid aside: one step. */
// biome-ignore lint/correctness/useYield: see above
export function* once<T>(work: () => T): Steps<T> {
  return work();
}

/** In pieces that are one step each. */
export function* inPieces<T>(items: Iterable<T>): Generator<T[], void, void> {
  let piece: T[] = [];
  for (const item of items) {
    piece.push(item);
    if (piece.length < STEP_ITEMS) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}

/** As `toSorted` has it: by merging, with a step for every so many comparisons. */
export function* sortSteps<T>(items: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  let runs: T[][] = [];
  for (const piece of inPieces(items)) {
    runs.push(piece.sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const merged: T[][] = [];
    for (let i = 0; i < runs.length; i += 2) {
      const [left, right] = [runs[i]!, runs[i + 1]];
      merged.push(right === undefined ? left : yield* mergeSteps(left, right, compare));
    }
    runs = merged;
  }
  return runs[0] ?? [];
}

/** Two sorted lists as one; of equals, those of `left` first. */
export function* mergeSteps<T>(left: readonly T[], right: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  const merged: T[] = [];
  for (let [l, r] = [0, 0]; l < left.length || r < right.length; ) {
    const isLeft = r === right.length || (l < left.length && compare(left[l]!, right[r]!) <= 0);
    merged.push(isLeft ? left[l++]! : right[r++]!);
    if (merged.length % STEP_ITEMS === 0) yield;
  }
  return merged;
}
