// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';

interface ExplainFlags {
  from: string;
  cluster?: string;
  context: string[];
  kubeconfig?: string;
  namespace?: string;
  header: string[];
  filename: string[];
  diff: boolean;
  offline: boolean;
  output: 'text' | 'json' | 'yaml';
}

const EXAMPLES = `
Examples:
  isthmus explain --from productpage-v1 http://reviews:9080/reviews/0
                                                 from a workload, in the cluster of the current context
  isthmus explain --from productpage-v1 --cluster cluster1 GET http://reviews:9080/reviews/0 -H 'end-user: jason'
  isthmus explain --from productpage-v1 http://reviews:9080/ -f reviews.yaml --diff
                                                 what would change if that were applied
  isthmus explain --from productpage-v1 http://reviews:9080/ -f cluster2=subsets.yaml -f rules/
                                                 as if these were applied: to cluster2, and to the caller's cluster
  isthmus explain --from istio-ingressgateway https://shop.example/cart
                                                 what comes to the gateway from outside
  isthmus explain --from deploy/web tcp://redis.data:6379
  isthmus explain --from web.shop grpc://orders:50051/orders.v1.Orders/List
  isthmus explain --offline -f manifests/ --from web http://cart/   files alone, without any cluster

--from takes a pod, deploy/NAME, a workload's name, an app label, each with .NAMESPACE behind it or -n NAMESPACE, or
istio-ingressgateway. Exit code 0: answered, whatever the answer is; 1: an object of -f would be refused, or something
could not be read; 2: called wrongly.`;

const collect = (value: string, previous: string[]): string[] => [...previous, value];

export function register(program: Command): void {
  program
    .command('explain')
    .description('Say where a request will go and why, hop by hop, before anything is applied.')
    .argument(
      '<request...>',
      '[METHOD] URL: http://, https://, grpc://, tcp:// or tls://, as the caller would write it',
    )
    .requiredOption('--from <who>', 'who asks: a pod, deploy/NAME, a workload, an app label, or istio-ingressgateway')
    .option(
      '--cluster <name>',
      'the cluster of who asks: its context, or its name in the mesh (default: the first that has it)',
    )
    .option(
      '--context <name>',
      'a cluster to look at; may be repeated (default: all of the kubeconfig with a mesh)',
      collect,
      [],
    )
    .option('--kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', 'namespace of who asks (default: default, or the only one that has it)')
    .option('-H, --header <header>', "a header of the request, 'end-user: jason'; may be repeated", collect, [])
    .option(
      '-f, --filename <file>',
      '[CLUSTER=]file or folder, - for standard input: as if it were applied; may be repeated',
      collect,
      [],
    )
    .option('--diff', 'what the files change', false)
    .option('--offline', 'files alone: no cluster is asked', false)
    .addOption(
      new Option('-o, --output <format>', 'text, json or yaml').choices(['text', 'json', 'yaml']).default('text'),
    )
    .addHelpText('after', EXAMPLES)
    .action(run);
}

async function run(words: readonly string[], flags: ExplainFlags): Promise<void> {
  const [{ runExplain }, { UserError }] = await Promise.all([
    import('../explain/explain.ts'),
    import('../user-error.ts'),
  ]);
  if (flags.diff && flags.filename.length === 0)
    throw new UserError('--diff compares with what -f would change: name a file', 2);
  if (flags.offline && flags.context.length > 0)
    throw new UserError('--offline asks no cluster: leave --context out, and write -f CLUSTER=FILE', 2);
  const { header, filename, context, ...rest } = flags;
  process.exitCode = await runExplain({ ...rest, words, headers: header, files: filename, contexts: context });
}
