// SPDX-License-Identifier: Apache-2.0
import { renderExec } from './shell.ts';

/**
 * The container's first process: a shell that runs the program as its child. As the first process of a pid namespace a
 * program without a handler would ignore SIGTERM and take the whole grace period to end; as the init's child it ends at
 * once. The init passes signals on, reaps orphans and ends with the program's exit code (128 + N for signal N).
 * The script comes by standard input, since its user could not open the file; 8 is the program's own input.
 *
 * @param prefix words before the program that undo what a shell does to children in the background: it lets them ignore
 * SIGINT and SIGQUIT
 */
export function renderInit(
  argv: readonly string[],
  environment: Readonly<Record<string, string>>,
  workingDir: string,
  prefix: readonly string[],
): string {
  return `umask 022
(
exec <&8 8<&-
${renderExec(argv, environment, workingDir, prefix)}) &
child=$!
exec 8<&-
for signal in TERM INT HUP QUIT USR1 USR2; do
  trap "kill -$signal $child 2>/dev/null" $signal
done
while :; do
  wait $child
  code=$?
  kill -0 $child 2>/dev/null || exit $code
done
`;
}
