// SPDX-License-Identifier: Apache-2.0
// "Did you mean": what a user may have had in mind.

/** The `count` names of `known` that are closest to `name`; of paths, the last part counts as well. */
export function closestNames(name: string, known: readonly string[], count: number): string[] {
  const last = (text: string): string => text.slice(text.lastIndexOf('/') + 1);
  return known
    .map((candidate) => ({
      candidate,
      distance: Math.min(editDistance(name, candidate), editDistance(last(name), last(candidate))),
    }))
    .sort((a, b) => a.distance - b.distance || a.candidate.localeCompare(b.candidate))
    .slice(0, count)
    .map(({ candidate }) => candidate);
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}
