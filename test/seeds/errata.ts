// SPDX-License-Identifier: Apache-2.0
// errata.md: all that may differ between a published page and the steps that run it. Its tables are read by their headers:
//
//   | the page's line | what runs |          a whole line; nothing on the right: it is not run
//   | the page's words | what runs |         some words, wherever they stand in the page's lines
//   | the step | what runs besides |         a line of that file which the page says in words only
//
// Each cell is code between backticks, with `\|` for a vertical bar. An entry that matches nothing is an error, so that the
// list stays true.
import { joinWords, type PageShape, readPageLines, type Step } from './page-lines.ts';

export interface Errata {
  readonly lines: ReadonlyMap<string, string | undefined>;
  readonly words: ReadonlyMap<string, string>;
  readonly besides: readonly { readonly file: string; readonly line: string }[];
}

export function readErrata(markdown: string): Errata {
  const lines = new Map<string, string | undefined>();
  const words = new Map<string, string>();
  const besides: { file: string; line: string }[] = [];
  let header = '';
  for (const row of markdown.split('\n')) {
    if (!row.startsWith('|')) header = '';
    else if (header === '') header = row;
    else if (!/^\|[-| ]+$/.test(row)) {
      const [left, right] = readCells(row);
      if (header === "| the page's line | what runs |") lines.set(left, right);
      else if (header === "| the page's words | what runs |") words.set(left, right ?? '');
      else if (header === '| the step | what runs besides |' && right !== undefined)
        besides.push({ file: left, line: right });
      else throw new Error(`errata: below "${header}": ${row}`);
    }
  }
  return { lines, words, besides };
}

function readCells(row: string): [string, string | undefined] {
  const cells = /^\| (`+)(.+?)\1 \|(?: (`+)(.+?)\3)? \|$/.exec(row);
  if (!cells) throw new Error(`errata: no row of two cells of code: ${row}`);
  return [cells[2]!.replaceAll('\\|', '|'), cells[4]?.replaceAll('\\|', '|')];
}

/** What the page's commands and the steps' are, in a form in which the two must be equal. */
export function comparePage(
  page: string,
  shape: PageShape,
  steps: readonly Step[],
  errata: Errata,
): { readonly page: string[]; readonly steps: string[] } {
  const own = withoutBesides(steps, errata.besides);
  return {
    page: correct(readPageLines(page, shape), errata),
    steps: shape === 'prompted' ? own.flat() : own.map((lines) => joinWords(lines.join(' '))).filter((l) => l !== ''),
  };
}

function correct(lines: readonly string[], errata: Errata): string[] {
  const unused = new Set([...errata.lines.keys(), ...errata.words.keys()]);
  const corrected = lines.flatMap((line) => {
    if (errata.lines.has(line)) {
      unused.delete(line);
      const replacement = errata.lines.get(line);
      return replacement === undefined ? [] : [replacement];
    }
    let result = line;
    for (const [printed, meant] of errata.words) {
      if (result.includes(printed)) unused.delete(printed);
      result = result.replaceAll(printed, meant);
    }
    return [result];
  });
  if (unused.size > 0) throw new Error(`errata: not on the page: ${[...unused].join(' ¶ ')}`);
  return corrected;
}

/** The steps' lines but for those that errata lists for them, each as often as it lists it. */
function withoutBesides(steps: readonly Step[], besides: Errata['besides']): string[][] {
  const left = [...besides];
  const own = steps.map(({ file, lines }) =>
    lines.filter((line) => {
      const listed = left.findIndex((entry) => entry.file === file && entry.line === line);
      if (listed >= 0) left.splice(listed, 1);
      return listed < 0;
    }),
  );
  if (left.length > 0) throw new Error(`errata: in no step: ${left.map((e) => `${e.file}: ${e.line}`).join(' ¶ ')}`);
  return own;
}
