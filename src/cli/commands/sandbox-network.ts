// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { nameOption } from './sandbox-options.ts';

export function registerNetwork(sandbox: Command): void {
  const network = sandbox
    .command('network')
    .description('cut a cluster off the external network, and join it again')
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox network disconnect cluster2   its pods go on; nothing passes between it and other clusters
  isthmus sandbox network connect cluster2

While it is cut off, packets vanish without an error, as with a pulled cable. kubectl and the gateway's port on this
machine still reach it. \`sandbox status\` shows it; the next \`up\` starts with every cluster connected.`,
    );
  for (const [verb, connected, description] of [
    ['disconnect', false, 'nothing passes between this cluster and the others any more'],
    ['connect', true, 'undo that'],
  ] as const) {
    network
      .command(verb)
      .description(description)
      .argument('<cluster>', 'cluster1, cluster2, ...')
      .addOption(nameOption())
      .action(async (cluster: string, options: { name: string }) => {
        const { setConnected } = await import('../sandbox/order-commands.ts');
        await setConnected(options.name, cluster, connected);
      });
  }
}
