// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox status` and `down`, as the terminal sees them.

import { stopSandbox } from '../../sandbox/life/down.ts';
import { describeSandbox, type SandboxReport } from '../../sandbox/life/status.ts';
import { commandName } from '../command-name.ts';
import { printReport, renderReport } from './report.ts';
import { withCure } from './with-cure.ts';

export async function status(options: { name: string; output?: 'json' | 'yaml' }): Promise<void> {
  const report = await withCure(() => describeSandbox(options.name));
  const isRunning = report.clusters.length > 0 || report.state === 'starting';
  if (!isRunning) process.exitCode = 1;
  if (options.output !== undefined) printReport(report, options.output);
  else process.stdout.write(`${headline(report)}\n${isRunning ? `\n${renderReport(report)}` : ''}`);
}

function headline({ name, state, message }: SandboxReport): string {
  const up = `${commandName()} sandbox up${name === 'default' ? '' : ` --name ${name}`}`;
  switch (state) {
    case 'absent':
      return `There is no sandbox "${name}". Start one: ${up}`;
    case 'stopped':
      return `The sandbox "${name}" is stopped, its state is kept. Continue it: ${up}`;
    case 'failed':
      return `The sandbox "${name}" is not running: ${message}. Continue it: ${up}`;
    default:
      return `The sandbox "${name}" is ${state}.`;
  }
}

export async function down(options: { name: string; keepState: boolean }): Promise<void> {
  const { wasThere } = await withCure(() => stopSandbox(options.name, { keepState: options.keepState }));
  const ended = options.keepState ? 'is stopped; its state is kept for the next `up`' : 'is gone';
  process.stderr.write(
    wasThere ? `The sandbox "${options.name}" ${ended}.\n` : `There was no sandbox "${options.name}".\n`,
  );
}
