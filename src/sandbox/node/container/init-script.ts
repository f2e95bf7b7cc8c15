// SPDX-License-Identifier: Apache-2.0

import { renderExec } from './shell.ts';
import { renderTerminal } from './terminal.ts';
import { atStandIn } from './toolbox.ts';

/**
 * The container's first process: a shell that runs the program as its child. As the first process of a pid namespace a
 * program without a handler would ignore SIGTERM and take the whole grace period to end; as the init's child it ends at
 * once. The init passes signals on, reaps orphans and ends with the program's exit code (128 + N for signal N).
 * A signal interrupts the wait, whose answer is then the signal's and not the program's: it waits again. The signal may
 * also come just after the program's end; then the shell does not know the child any more (127).
 * The script comes by standard input, since its user could not open the file; 8 is the program's own input, 4 its
 * standard error. `started` on 3 says that signals reach the program from now on: before, the kernel drops them.
 *
 * @param prefix words before the program that undo what a shell does to children in the background: it lets them ignore
 * SIGINT and SIGQUIT
 */
export function renderInit(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  workingDir: string,
  prefix: readonly string[],
  tty: boolean,
): string {
  const program = renderExec(atStandIn(argv), environment, workingDir, prefix);
  return `umask 022
exec 2>&4 4>&-
(
exec <&8 8<&- 3>&-
${tty ? renderTerminal(program, undefined) : program}) &
child=$!
exec 8<&-
for signal in TERM INT HUP QUIT USR1 USR2; do
  trap "kill -$signal $child 2>/dev/null; signalled=1" $signal
done
echo started >&3
exec 3>&-
code=
while :; do
  signalled=
  wait $child
  next=$?
  [ $next = 127 ] && [ -n "$code" ] && exit $code
  code=$next
  [ -n "$signalled" ] || exit $code
done
`;
}
