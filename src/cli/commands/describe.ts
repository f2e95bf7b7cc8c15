// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import type { StructuredFormat } from '../proxies/render.ts';

interface DescribeFlags {
  context: string[];
  kubeconfig?: string;
  namespace?: string;
  output: 'text' | StructuredFormat;
}

const EXAMPLES = `
Examples:
  isthmus describe pod productpage-v1-6b746f74dc-9stvs          its proxy, or why it has none; its services and rules
  isthmus describe service reviews.default                     who routes it where, who may come in, its other clusters
  isthmus describe svc reviews --context cluster2 --context cluster1
  isthmus describe svc reviews -o json | jq '.routes'

The object is looked for in the first context (without any: the current one), in the context’s namespace, in -n, or in
NAME.NAMESPACE. The other contexts, all of the kubeconfig without any, are looked at for what they have of a service.`;

const KINDS = [
  { kind: 'Pod', name: 'pod', alias: 'po', says: 'Say what the mesh makes of a pod.' },
  { kind: 'Service', name: 'service', alias: 'svc', says: 'Say what the mesh makes of a service.' },
] as const;

export function register(program: Command): void {
  const group = program
    .command('describe')
    .alias('desc')
    .description('Say which rules are in force for a pod or a service, and what is wrong with it.')
    .addHelpText('after', EXAMPLES);
  for (const { kind, name, alias, says } of KINDS) {
    group
      .command(name)
      .alias(alias)
      .description(says)
      .argument('<name>', 'NAME, or NAME.NAMESPACE')
      .option('--context <name>', 'a kubeconfig context; may be repeated, the first has the object', collect, [])
      .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
      .option('-n, --namespace <name>', 'its namespace (default: the context’s)')
      .addOption(
        new Option('-o, --output <format>', 'text, json or yaml').choices(['text', 'json', 'yaml']).default('text'),
      )
      .addHelpText('after', EXAMPLES)
      .action(async (object: string, { context, ...flags }: DescribeFlags) => {
        const { describe } = await import('../describe/describe.ts');
        await describe({ ...flags, kind, name: object, contexts: context });
      });
  }
}

function collect(value: string, previous: string[]): string[] {
  return [...previous, value];
}
