// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';

interface ProxyInitFlags {
  excludeOutboundBy: string;
  proxyId: number;
  includeInboundPorts?: number[];
  excludeInboundPorts: number[];
  excludeOutboundPorts: number[];
  excludeOutboundRanges: string[];
  dryRun: boolean;
}

export function register(program: Command): void {
  program
    .command('proxy-init')
    .description('Write the rules that lead a pod’s traffic through its proxy, into the current network namespace.')
    .option('--exclude-outbound-by <uid|mark>', 'how the proxy’s own connections are told', 'uid')
    .option('--proxy-id <number>', 'that uid or mark', readNumber, 1337)
    .option('--include-inbound-ports <ports>', 'take only these ports (default: all)', readPorts)
    .option('--exclude-inbound-ports <ports>', 'leave these ports alone', readPorts, [])
    .option('--exclude-outbound-ports <ports>', 'leave connections to these ports alone', readPorts, [])
    .option('--exclude-outbound-ranges <prefixes>', 'leave connections to these prefixes alone', readList, [])
    .option('--dry-run', 'print the rules as nft text and change nothing', false)
    .addHelpText('after', '\nThe init container istio-init runs it; it needs NET_ADMIN and is of no use on a host.')
    .action(async (flags: ProxyInitFlags) => {
      const [
        { buildRedirectRules, INBOUND_SOURCE_V6 },
        { applyRules },
        { addLoopbackAddress },
        { renderNft },
        { ownFamilies },
        { UserError },
      ] = await Promise.all([
        import('../../injector/redirect-rules.ts'),
        import('../../netfilter/apply.ts'),
        import('../../netfilter/loopback-address.ts'),
        import('../../netfilter/nft-text.ts'),
        import('../../process/own-addresses.ts'),
        import('../user-error.ts'),
      ]);
      const { excludeOutboundBy } = flags;
      if (excludeOutboundBy !== 'uid' && excludeOutboundBy !== 'mark') {
        throw new UserError(`--exclude-outbound-by is "${excludeOutboundBy}": it must be uid or mark`, 2);
      }
      const { includeInboundPorts, ...rest } = flags;
      const table = buildRedirectRules({ ...rest, excludeOutboundBy, includeInboundPorts });
      if (flags.dryRun) {
        process.stdout.write(renderNft(table));
        return;
      }
      const families = ownFamilies();
      if (families !== 'IPv4') {
        await addLoopbackAddress(INBOUND_SOURCE_V6).catch((error: Error) => {
          if (families === 'IPv6') throw error;
          process.stderr.write(`what comes to this pod by IPv6 will not reach its application: ${error.message}\n`);
        });
      }
      await applyRules(table);
      process.stdout.write('redirect rules are in place\n');
    });
}

function readNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('it must be a number');
  return Number(text);
}

function readPorts(text: string): number[] {
  return readList(text).map((part) => {
    const port = Number(part);
    if (!/^\d+$/.test(part) || port < 1 || port > 65_535) throw new InvalidArgumentError(`"${part}" is not a port`);
    return port;
  });
}

function readList(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}
