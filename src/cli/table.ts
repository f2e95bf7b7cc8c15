// SPDX-License-Identifier: Apache-2.0

/** Columns as wide as their longest cell. `blanks` between them: five, as istioctl has them. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[], blanks = 5): string {
  const table = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...table.map((cells) => (cells[column] ?? '').length)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, column) => cell.padEnd(widths[column]!)).join(' '.repeat(blanks));
  return table.map((cells) => `${line(cells).trimEnd()}\n`).join('');
}
