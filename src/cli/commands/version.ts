// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { StructuredFormat } from '../proxies/render.ts';

interface VersionFlags {
  remote: boolean;
  context?: string;
  kubeconfig?: string;
  output: 'text' | StructuredFormat;
}

const HELP = `
Examples:
  isthmus version                      of this program, the control plane and the proxies
  isthmus version --context cluster2
  isthmus version --remote=false       of this program alone: no cluster is asked
  isthmus version -o json

A cluster that cannot be asked is told on stderr; the exit code is 0 all the same.`;

export function register(program: Command): void {
  program
    .command('version')
    .description('Say which versions run: of this program, of the control plane and of the proxies.')
    .addOption(new Option('--remote [bool]', 'ask the cluster, too').default(true).preset('true').argParser(readBool))
    .option('--context <name>', 'the kubeconfig context (default: the current one)')
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .addOption(
      new Option('-o, --output <format>', 'text, json or yaml').choices(['text', 'json', 'yaml']).default('text'),
    )
    .addHelpText('after', HELP)
    .action(async (flags: VersionFlags) => {
      const { version } = await import('../proxies/version.ts');
      await version(flags);
    });
}

function readBool(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw new InvalidArgumentError('Write true or false.');
}
