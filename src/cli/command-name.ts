// SPDX-License-Identifier: Apache-2.0

/** How the user called this program, e.g. `./isthmus`: what is printed to be typed should work as it stands. */
export function commandName(env: NodeJS.ProcessEnv = process.env): string {
  const called = env['ISTHMUS_COMMAND'] || 'isthmus';
  return /^[\w./-]+$/.test(called) ? called : `'${called.replaceAll("'", "'\\''")}'`;
}
