// SPDX-License-Identifier: Apache-2.0
// Two answers to one question: what a change makes of it.
import type { Path } from '../../explain/path.ts';
import { headLines, type Line, paint, pathLines } from './render.ts';
import { PLAIN, type Style, wrap } from './wrap.ts';

const WIDTH = 100;

/** Nothing of the way is another one. Where it was read from counts for nothing. */
export function isSame(before: Path, after: Path): boolean {
  const bare = (path: Path) => JSON.stringify([path.verdict, pathLines(withoutFiles(path))]);
  return bare(before) === bare(after);
}

export function renderComparison(before: Path, after: Path, headers: readonly string[], style: Style = PLAIN): string {
  const said = (label: string, text: string, how: keyof Style): Line[] =>
    wrap(`${label.padEnd(6)}${text}`, WIDTH, '      ').map((line) => ({ text: line, style: how }));
  const verdicts =
    before.verdict === after.verdict
      ? said('still', after.verdict, 'bold')
      : [...said('now', before.verdict, 'bold'), ...said('then', after.verdict, 'bold')];
  const head = [...headLines(after, headers), { text: '' }, ...verdicts, { text: '' }];
  if (isSame(before, after)) return paint([...head, { text: 'Nothing of its way changes.' }], style);
  return paint([...head, ...diffLines(pathLines(withoutFiles(before)), pathLines(withoutFiles(after)))], style);
}

/** A line moves when an object of a cluster is in a file now: no change of the way. */
function withoutFiles(path: Path): Path {
  return JSON.parse(
    JSON.stringify(path, (key, value) => (key === 'file' || key === 'line' ? undefined : value)),
  ) as Path;
}

/** The later text, with what is gone; what stays the same without any mark. */
function diffLines(before: readonly Line[], after: readonly Line[]): Line[] {
  const lengths = commonLengths(before, after);
  const lines: Line[] = [];
  let [i, j] = [0, 0];
  while (i < before.length || j < after.length) {
    const [was, is] = [before[i], after[j]];
    if (was !== undefined && is !== undefined && was.text === is.text) {
      lines.push({ text: `  ${is.text}`, style: 'dim' });
      i++;
      j++;
    } else if (was !== undefined && (is === undefined || lengths[i + 1]![j]! >= lengths[i]![j + 1]!)) {
      lines.push({ text: `- ${was.text}`, style: 'bad' });
      i++;
    } else {
      lines.push({ text: `+ ${is!.text}`, style: 'good' });
      j++;
    }
  }
  return lines;
}

/** Of what is left of both from each place on: the length of the longest common subsequence. */
function commonLengths(before: readonly Line[], after: readonly Line[]): number[][] {
  const lengths = Array.from({ length: before.length + 1 }, () => Array<number>(after.length + 1).fill(0));
  for (let i = before.length - 1; i >= 0; i--)
    for (let j = after.length - 1; j >= 0; j--)
      lengths[i]![j] =
        before[i]!.text === after[j]!.text
          ? lengths[i + 1]![j + 1]! + 1
          : Math.max(lengths[i + 1]![j]!, lengths[i]![j + 1]!);
  return lengths;
}
