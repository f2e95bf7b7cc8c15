// SPDX-License-Identifier: Apache-2.0

/** One word of a POSIX shell command, whatever it holds (NUL cannot be passed and is refused). */
export function quoteWord(word: string): string {
  if (word.includes('\0')) throw new Error('a command, an argument or a variable holds a NUL character');
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

export function quoteWords(words: readonly string[]): string {
  return words.map(quoteWord).join(' ');
}

/** Names that shells give a meaning of their own (or refuse to set): these go by env(1) instead of export. */
const SHELL_NAMES = new Set(
  'BASHOPTS BASH_ENV ENV EUID FUNCNAME GROUPS IFS LINENO OLDPWD OPTIND POSIXLY_CORRECT PPID PS1 PS2 PS4 PWD RANDOM SECONDS SHELLOPTS SHLVL UID _'.split(
    ' ',
  ),
);

/**
 * Commands that end with the program in place of the shell, in `workingDir`, with exactly this environment (a shell may
 * add PWD). Values are set by `export`, so that none shows up in a command line that other users can read.
 * @param prefix words before the program, e.g. `['env', '--default-signal']`
 */
export function renderExec(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  workingDir: string,
  prefix: readonly string[] = [],
): string {
  const lines = [`cd ${quoteWord(workingDir)} || exit 128`, 'unset OLDPWD LC_ALL'];
  const unusual: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !SHELL_NAMES.has(name)) {
      lines.push(`export ${name}=${quoteWord(value)}`);
    } else {
      unusual.push(`${name}=${value}`);
    }
  }
  const words = [...prefix, ...(unusual.length > 0 && prefix.length === 0 ? ['env'] : []), ...unusual, ...argv];
  lines.push(`exec ${quoteWords(words)}`);
  return lines.join('\n') + '\n';
}
