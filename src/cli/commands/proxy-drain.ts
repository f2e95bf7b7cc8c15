// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';

interface ProxyDrainFlags {
  adminPipe: string;
  inboundOnly: boolean;
  untilQuiet: boolean;
  atLeast: number;
  atMost: number;
}

export function register(program: Command): void {
  program
    .command('proxy-drain')
    .description('Have the proxy’s clients leave before it ends.')
    .option('--admin-pipe <path>', 'the socket of Envoy’s admin interface', '/tmp/envoy-admin.sock')
    .option('--inbound-only', 'leave the connections that the application opens alone', false)
    .option('--until-quiet', 'wait until nobody is connected any more', false)
    .option('--at-least <seconds>', 'wait so long even if nobody is connected', readSeconds, 0)
    .option('--at-most <seconds>', 'then end, whoever is still connected', readSeconds, 25)
    .addHelpText('after', '\nThe proxy’s container runs it as its preStop; it is of no use elsewhere.')
    .action(async (flags: ProxyDrainFlags) => {
      const { drainProxy } = await import('../../injector/drain.ts');
      const left = await drainProxy({
        adminPipe: flags.adminPipe,
        inboundOnly: flags.inboundOnly,
        untilQuiet: flags.untilQuiet ? { atLeastMs: flags.atLeast * 1000, atMostMs: flags.atMost * 1000 } : undefined,
      });
      if (left !== undefined && left > 0)
        process.stdout.write(`${left} connections are left after ${flags.atMost} s\n`);
    });
}

function readSeconds(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('it must be a whole number of seconds');
  return Number(text);
}
