// SPDX-License-Identifier: Apache-2.0
// A page of scenarios/everyday: sections with console blocks, in which `$ ` starts a command (`> ` goes on with it) and
// what follows is what it prints.

export interface Command {
  readonly line: number;
  readonly text: string;
  /** Lines as the page has them; see `differs`. */
  readonly output: readonly string[];
  readonly exitCode: number;
}

export interface Section {
  readonly title: string;
  readonly commands: readonly Command[];
}

/** @throws Error for a block that has output before its first command */
export function parsePage(markdown: string): Section[] {
  const sections: { title: string; commands: Command[] }[] = [];
  let inBlock = false;
  let current: { line: number; text: string; output: string[] } | undefined;
  const close = (): void => {
    if (current === undefined) return;
    const exit = /^\[exit (\d+)\]$/.exec(current.output.at(-1) ?? '');
    sections.at(-1)?.commands.push({
      ...current,
      output: exit === null ? current.output : current.output.slice(0, -1),
      exitCode: exit === null ? 0 : Number(exit[1]),
    });
    current = undefined;
  };
  for (const [index, text] of markdown.split('\n').entries()) {
    if (!inBlock) {
      const heading = /^##? (.+)$/.exec(text);
      if (heading !== null) sections.push({ title: heading[1]!, commands: [] });
      inBlock = text === '```console';
    } else if (text === '```') {
      close();
      inBlock = false;
    } else if (text.startsWith('$ ')) {
      close();
      current = { line: index + 1, text: text.slice(2), output: [] };
    } else if (current === undefined) {
      throw new Error(`line ${index + 1}: output before a command`);
    } else if (text.startsWith('> ') && current.output.length === 0) {
      current.text += `\n${text.slice(2)}`;
    } else {
      current.output.push(text);
    }
  }
  return sections.filter(({ commands }) => commands.length > 0);
}

/**
 * Undefined when `actual` is what the page shows, else the page's line that was not met. `…` stands for any text in a
 * line, a line `...` for any lines, and a run of spaces for any other: columns are as wide as their longest cell.
 */
export function differs(expected: readonly string[], actual: readonly string[]): string | undefined {
  const lines = actual.map((line) => line.trimEnd()).filter((line, i, all) => line !== '' || i < all.length - 1);
  let at = 0;
  let loose = false;
  for (const want of expected) {
    if (want.trim() === '...') {
      loose = true;
      continue;
    }
    const pattern = patternOf(want);
    const found = loose ? lines.findIndex((line, i) => i >= at && pattern.test(line)) : at;
    if (found < 0 || !pattern.test(lines[found] ?? '\0')) return want;
    at = found + 1;
    loose = false;
  }
  return loose || at === lines.length ? undefined : `(nothing more, but there was: ${lines[at]})`;
}

function patternOf(line: string): RegExp {
  const parts = line
    .trimEnd()
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+'));
  return new RegExp(`^${parts.join('.*')}$`);
}
