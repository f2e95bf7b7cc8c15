// SPDX-License-Identifier: Apache-2.0
// The commands of a published page, each page in its own shape, and those of a scenario's steps, in one and the same form.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** How a page's commands are found. */
export type PageShape = 'prompted' | 'joined';

/** The page's lines of commands, in order, without prompt, line number and indentation. */
export function readPageLines(page: string, shape: PageShape): string[] {
  return shape === 'prompted' ? readPromptedLines(page) : readJoinedLines(page);
}

/**
 * A command starts with the prompt `$ ` (000, 001, 004), behind a line number on some pages (003), and goes on while a line
 * ends with a backslash or a here-document is open. What the page shows besides is output.
 */
function readPromptedLines(page: string): string[] {
  const lines: string[] = [];
  let goesOn = false;
  let until: string | undefined;
  for (const printed of page.split('\n')) {
    const line = printed.trim().replace(/^\d+\. ?/, '');
    const starts = line.startsWith('$ ');
    if (!starts && !goesOn) continue;
    const command = line.replace(/^\$ /, '').trim();
    if (command === '') continue;
    lines.push(command);
    until ??= /<<-?['"]?(\w+)/.exec(command)?.[1];
    if (command === until) until = undefined;
    goesOn = until !== undefined || command.endsWith('\\');
  }
  return lines;
}

/** A page that lost its line breaks (002): all commands of a block in one line, with spaces (of any kind) for line ends. */
function readJoinedLines(page: string): string[] {
  return page
    .split('\n')
    .filter((line) => /^(kubectl|export|for|helm)\s/.test(line))
    .map(joinWords);
}

export interface Step {
  readonly file: string;
  /** What runs, as it stands in the file. */
  readonly script: string;
  /** Its lines without indentation and without the comment at the top, which names the step. */
  readonly lines: readonly string[];
}

/** The steps in the order of their file names. */
export function readSteps(dir: string): Step[] {
  return readdirSync(dir)
    .sort()
    .map((file) => {
      const script = readFileSync(join(dir, file), 'utf8');
      const lines = script
        .replace(/^(#.*\n)+/, '')
        .split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '');
      return { file, script, lines };
    });
}

/** Any white space, line ends too, as one space each. */
export function joinWords(text: string): string {
  return text.trim().split(/\s+/).join(' ');
}
