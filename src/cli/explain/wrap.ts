// SPDX-License-Identifier: Apache-2.0
// Text in columns of a terminal.

/** Lines of at most `width` columns; a word that is longer has a line to itself. @param hang what further lines begin with */
export function wrap(text: string, width: number, hang = ''): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (longer.length > width && line.trim() !== '') {
      lines.push(line);
      line = `${hang}${word}`;
    } else line = longer;
  }
  return [...lines, line];
}

/** What makes text bold, dim, ...: nothing where no terminal is. */
export interface Style {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
}

const plain = (text: string): string => text;
export const PLAIN: Style = { bold: plain, dim: plain, good: plain, bad: plain };

const escape_ = (code: number, end: number) => (text: string) =>
  text === '' ? '' : `\x1b[${code}m${text}\x1b[${end}m`;
const COLOURED: Style = { bold: escape_(1, 22), dim: escape_(2, 22), good: escape_(32, 39), bad: escape_(31, 39) };

/** https://no-color.org */
export function styleOf(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv = process.env): Style {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb' ? COLOURED : PLAIN;
}
