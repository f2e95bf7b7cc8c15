// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';

export function register(program: Command): void {
  program
    .command('demo')
    .description('a published document on clusters of this machine, line by line, with real traffic that is counted')
    .argument('[number]', 'which one: 000 to 004', '000')
    .option('--name <name>', 'name of the sandbox', 'demo')
    .option('--requests <n>', 'requests that each count of the table has', parseCount, 200)
    .option('--no-stay', 'end after the table (the default where there is no terminal)')
    .addHelpText(
      'after',
      `
Documents:
  000   two clusters, the mesh on both, Bookinfo routed by version between them (the one that needs no kubectl)
  001   one control plane for two clusters that share no network
  002   names of the other cluster, routes by user between the clusters
  003   out by the egress gateway alone
  004   traffic shifted from one version to another by weights

Examples:
  isthmus demo                   000; stay up afterwards, with a page to open and a kubeconfig to use
  isthmus demo 004 --no-stay     print the table and take everything down again
  isthmus demo --requests 1000   count more requests

Exit code: 0 when every share is what chance allows and no request was lost, 1 otherwise.`,
    )
    .action(async (number: string, options: { name: string; requests: number; stay: boolean }) => {
      const { demo } = await import('../demo/main.ts');
      await demo(number, options);
    });
}

function parseCount(text: string): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 20 || count > 5_000)
    throw new InvalidArgumentError('It must be a number from 20 to 5000.');
  return count;
}
