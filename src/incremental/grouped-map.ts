// SPDX-License-Identifier: Apache-2.0
import { inPieces, mergeSteps, type Steps, sortSteps } from './steps.ts';
import type { VersionedMap } from './versioned-map.ts';

/** An item that has changed, as it was and as it is. */
export type Change<T> = readonly [before: T | undefined, after: T | undefined];

/** The groups after the changes; items of one group are sorted, and a group without items is none. */
export function* regroup<T extends object>(
  groups: VersionedMap<string, readonly T[]>,
  changes: readonly Change<T>[],
  keysOf: (item: T) => Iterable<string>,
  compare: (a: T, b: T) => number,
): Steps<VersionedMap<string, readonly T[]>> {
  const gone = new Set<T>();
  const touched = new Map<string, T[]>();
  for (const piece of inPieces(changes)) {
    for (const [item] of piece) {
      if (item === undefined) continue;
      gone.add(item);
      for (const key of keysOf(item)) if (!touched.has(key)) touched.set(key, []);
    }
    for (const [, item] of piece) {
      if (item === undefined) continue;
      for (const key of new Set(keysOf(item))) {
        const items = touched.get(key);
        if (items === undefined) touched.set(key, [item]);
        else items.push(item);
      }
    }
    yield;
  }
  let regrouped = groups;
  for (const piece of inPieces(touched)) {
    const next: [string, readonly T[] | undefined][] = [];
    for (const [key, come] of piece) {
      const items = yield* placeSorted(without(regrouped.get(key) ?? [], gone), come, compare);
      next.push([key, items.length === 0 ? undefined : items]);
    }
    regrouped = regrouped.with(next);
    yield;
  }
  return regrouped;
}

export function without<T>(items: readonly T[], gone: ReadonlySet<T>): T[] {
  return items.filter((item) => !gone.has(item));
}

/** Past so many, sorting all is cheaper than finding each one's place. */
const FEW = 16;

/** Both in one order; changes `sorted`, or leaves it to itself. */
export function* placeSorted<T>(sorted: T[], come: readonly T[], compare: (a: T, b: T) => number): Steps<T[]> {
  if (come.length > FEW) return yield* mergeSteps(sorted, yield* sortSteps(come, compare), compare);
  for (const item of come) {
    let [low, high] = [0, sorted.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compare(sorted[middle]!, item) < 0) low = middle + 1;
      else high = middle;
    }
    sorted.splice(low, 0, item);
  }
  return sorted;
}

/** What is in one of two lists only. */
export function differences<R>(before: readonly R[], after: readonly R[]): Change<R>[] {
  const [old, now] = [new Set(before), new Set(after)];
  return [
    ...before.filter((rule) => !now.has(rule)).map((rule) => [rule, undefined] as const),
    ...after.filter((rule) => !old.has(rule)).map((rule) => [undefined, rule] as const),
  ];
}
