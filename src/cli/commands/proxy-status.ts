// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import type { StructuredFormat } from '../proxies/render.ts';

interface ProxyStatusFlags {
  context: string[];
  kubeconfig?: string;
  namespace?: string;
  output: 'table' | StructuredFormat;
}

const HELP = `
Examples:
  isthmus proxy-status                                 every proxy of the current context's control plane
  isthmus ps --context cluster1 --context cluster2     those of both control planes
  isthmus ps productpage-v1-6b746f74dc-9stvs.default   one, and what it refuses, with the reason
  isthmus ps -o json

  SYNCED    the proxy has all that is meant for it
  STALE     something is under way to it for a moment, or it refuses something (name the POD to see what)
  NOT SENT  it has asked, and has had no answer yet
  IGNORED   it has not asked for any: a gateway without HTTP routes, say`;

export function register(program: Command): void {
  program
    .command('proxy-status')
    .alias('ps')
    .description('Say of each proxy whether it has what the control plane means for it.')
    .argument('[pod]', 'POD.NAMESPACE; POD alone is looked for in the context’s namespace')
    .option(
      '--context <name>',
      'a kubeconfig context (default: the current one); may be repeated',
      (value: string, previous: string[]) => [...previous, value],
      [],
    )
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', 'proxies of this namespace only')
    .addOption(
      new Option('-o, --output <format>', 'table, json or yaml').choices(['table', 'json', 'yaml']).default('table'),
    )
    .addHelpText('after', HELP)
    .action(async (pod: string | undefined, { context, ...flags }: ProxyStatusFlags) => {
      const { proxyStatus } = await import('../proxies/proxy-status.ts');
      process.exitCode = await proxyStatus({ ...flags, contexts: context, pod });
    });
}
