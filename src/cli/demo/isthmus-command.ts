// SPDX-License-Identifier: Apache-2.0
// The demo does what a user would do: it calls the same commands.
import { spawn } from 'node:child_process';
import { UserError } from '../user-error.ts';

/**
 * Runs `isthmus ARGS` as a process of its own and gives its standard output. An abort sends SIGTERM and waits for the end.
 * @throws UserError with the command and the end of what it said, when it fails.
 */
export function runIsthmus(args: readonly string[], signal?: AbortSignal): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C reaches the demo alone, which then takes everything down in order.
    detached: true,
  });
  let output = '';
  let said = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    said += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const stop = (): void => void child.kill('SIGTERM');
  signal?.addEventListener('abort', stop, { once: true });
  child.on('error', reject);
  child.on('close', (code, killedBy) => {
    signal?.removeEventListener('abort', stop);
    if (signal?.aborted) reject(signal.reason);
    else if (code === 0) resolve(output);
    else reject(new UserError(describeFailure(args, killedBy ?? `exit code ${code}`, said)));
  });
  return promise;
}

/** The command's own paragraph, when it ended with one. */
function describeFailure(args: readonly string[], ending: string, said: string): string {
  const lines = said.trim().split('\n');
  const own = /^isthmus: (.+)$/.exec(lines.at(-1)!)?.[1];
  return own ?? `\`isthmus ${args.join(' ')}\` failed (${ending}):\n${lines.slice(-15).join('\n')}`;
}
