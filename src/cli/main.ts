// SPDX-License-Identifier: Apache-2.0
// The CLI's entry. Exit codes: 0 done, 1 failed, 2 called wrongly.
import { Command, CommanderError } from 'commander';
import packageJson from '../../package.json' with { type: 'json' };
import { registerCommands } from './commands.ts';
import { optionDescription, withoutVainHelp } from './help.ts';
import { UserError } from './user-error.ts';

const program = new Command('isthmus')
  .description('A multicluster service mesh: real Envoy proxies, the Istio API, several Kubernetes clusters as one.')
  .version(packageJson.version, '-V, --version', 'this program’s version')
  .showHelpAfterError('(add --help for usage and examples)')
  .showSuggestionAfterError(true)
  .configureHelp({ sortSubcommands: false, optionDescription })
  .exitOverride();

// `isthmus ... | head`: who reads no more wants no more; but the demo has to clean up.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

try {
  await registerCommands(program);
  inheritExit(program);
  await program.parseAsync(withoutVainHelp(program, process.argv.slice(2)), { from: 'user' });
} catch (error) {
  process.exitCode = report(error);
}

/** Commander's exitOverride does not reach subcommands that were built before it was set. */
function inheritExit(command: Command): void {
  for (const child of command.commands) {
    child.exitOverride().showHelpAfterError('(add --help for usage and examples)');
    inheritExit(child);
  }
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2; // commander has printed it already
  if (error instanceof UserError) {
    process.stderr.write(`isthmus: ${error.message}\n`);
    return error.exitCode;
  }
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`isthmus: ${text}\n`);
  if (process.env['ISTHMUS_DEBUG'] && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  else process.stderr.write('(set ISTHMUS_DEBUG=1 to see where)\n');
  return 1;
}
