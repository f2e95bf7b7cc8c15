// SPDX-License-Identifier: Apache-2.0
// Compares the commands that a seed scenario runs with the published page: every line must be there, in order, but for
// what errata.md lists.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The page's code blocks as lines without prompt and indentation. */
export function readPageLines(page: string): string[] {
  return [...page.matchAll(/```\n(.*?)```/gs)].flatMap((block) =>
    trimLines(block[1]!).map((line) => line.replace(/^\$ /, '')),
  );
}

/** The steps' lines without indentation, in the order of their file names. */
export function readStepLines(dir: string): string[] {
  return readdirSync(dir)
    .sort()
    .flatMap((file) => trimLines(readFileSync(join(dir, file), 'utf8')));
}

/** errata.md's table: the page's line -> what runs, or undefined for output that the page shows. */
export function readErrata(markdown: string): Map<string, string | undefined> {
  const rows = [...markdown.matchAll(/^\| `([^`]+)` \|(?: `([^`]+)`)? \|$/gm)];
  return new Map(rows.map((row) => [row[1]!, row[2]]));
}

export function applyErrata(lines: readonly string[], errata: ReadonlyMap<string, string | undefined>): string[] {
  return lines.flatMap((line) => {
    if (!errata.has(line)) return [line];
    const replacement = errata.get(line);
    return replacement === undefined ? [] : [replacement];
  });
}

function trimLines(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}
