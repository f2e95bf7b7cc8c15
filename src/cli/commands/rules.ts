// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import type { RulesOptions } from '../rules/rules.ts';

const HELP = `
Examples:
  isthmus rules                                        the clusters of the mesh that 'isthmus mesh up' made
  isthmus rules --context cluster1 --context cluster2  these
  isthmus rules -n shop -o json

A VirtualService or DestinationRule with the annotation isthmus.io/clusters: "cluster2,cluster3" (or "*") in one cluster
is copied to those. REVISION is a hash of what a rule says; HAS is that of what the cluster has, GENERATION of which of
the source's generations that is. States: in-step, behind, missing, edited, occupied (a person's object there wins),
contested (another cluster's older rule wins), no-namespace, unknown-cluster, unreachable, left-over. Exit code 1: not
all are in step. docs/rules-written-once.md has more.`;

export function register(program: Command): void {
  program
    .command('rules')
    .description('Say where rules that are written in one cluster for several have arrived, and with which revision.')
    .option(
      '--context <name>',
      'a kubeconfig context; may be repeated (default: those of the mesh that the current one is in)',
      (value: string, previous: string[]) => [...previous, value],
      [],
    )
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', 'rules of this namespace only')
    .addOption(
      new Option('-o, --output <format>', 'table, json or yaml').choices(['table', 'json', 'yaml']).default('table'),
    )
    .addHelpText('after', HELP)
    .action(async ({ context, ...flags }: Omit<RulesOptions, 'contexts'> & { context: string[] }) => {
      const { rules } = await import('../rules/rules.ts');
      process.exitCode = await rules({ ...flags, contexts: context });
    });
}
