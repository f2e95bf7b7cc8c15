// SPDX-License-Identifier: Apache-2.0

/** `text` as one word of a POSIX shell: as it is where that will do, else quoted. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
