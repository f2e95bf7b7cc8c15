// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';

export function register(program: Command): void {
  program
    .command('demo')
    .description('two clusters on this machine, the mesh on both, Bookinfo routed by version between them')
    .option('--name <name>', 'name of the sandbox', 'demo')
    .option('--requests <n>', 'requests for each user that the table counts', parseCount, 200)
    .option('--no-stay', 'end after the table (the default where there is no terminal)')
    .addHelpText(
      'after',
      `
Examples:
  isthmus demo                   stay up afterwards, with a page to open and a kubeconfig to use
  isthmus demo --no-stay         print the table and take everything down again
  isthmus demo --requests 1000   count more requests

Exit code: 0 when every share is what chance allows, 1 otherwise.`,
    )
    .action(async (options: { name: string; requests: number; stay: boolean }) => {
      const { demo } = await import('../demo/main.ts');
      await demo(options);
    });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 20 || count > 5_000)
    throw new InvalidArgumentError('It must be a number from 20 to 5000.');
  return count;
}
