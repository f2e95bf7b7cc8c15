// SPDX-License-Identifier: Apache-2.0
import { shellWord } from './shell-word.ts';

/** How the user called this program, e.g. `./isthmus`: what is printed to be typed should work as it stands. */
export function commandName(env: NodeJS.ProcessEnv = process.env): string {
  return shellWord(env['ISTHMUS_COMMAND'] || 'isthmus');
}
