// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { ImpactOptions } from '../impact/impact.ts';

const HELP = `
Examples:
  isthmus impact -f reviews.yaml                       the last 10 minutes of all proxies, against the change
  isthmus impact -f reviews.yaml --since 1h -n shop    an hour, of the proxies in one namespace
  isthmus impact --delete old-rules.yaml -l app=web    if the objects of a file were deleted; callers by label
  isthmus impact -f cluster2=reviews.yaml --context cluster1 --context cluster2
                                                       a change in cluster2, asked of the requests of both
  kubectl logs --prefix -l app=web -c istio-proxy --tail -1 > web.log
  isthmus impact -f reviews.yaml --logs web.log        requests from saved logs
  isthmus impact -f reviews.yaml --fail-on-failure -o json

Every request that the proxies' access logs hold is asked of the mesh as it is and as it would be. Weights give expected
shares. Where the answer depends on a header that the log does not hold, the request is counted as one of which it cannot
be told, with the accessLogFormat that would tell. Exit code 0; 1 with --fail-on-change when requests would go elsewhere,
with --fail-on-failure when more would fail (either: when it cannot be told of some), or when the change would be refused;
2: called wrongly.`;

const collect = (value: string, previous: string[]): string[] => [...previous, value];

interface ImpactFlags {
  filename: string[];
  delete: string[];
  context: string[];
  kubeconfig?: string;
  namespace?: string;
  allNamespaces?: boolean;
  selector?: string;
  since: number;
  logs: string[];
  from?: string;
  output: ImpactOptions['output'];
  failOnChange: boolean;
  failOnFailure: boolean;
}

export function register(program: Command): void {
  program
    .command('impact')
    .description('Say which share of the requests of the last minutes a change would send elsewhere, or let fail.')
    .option(
      '-f, --filename <file>',
      'what would be applied: a file, a folder, - or CLUSTER=FILE; may be repeated',
      collect,
      [],
    )
    .option('--delete <file>', 'objects that would be deleted, by their names; may be repeated', collect, [])
    .option(
      '--context <name>',
      'a kubeconfig context (default: all whose clusters have a mesh); may be repeated',
      collect,
      [],
    )
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', 'only requests of proxies in this namespace')
    .option('-A, --all-namespaces', 'of proxies in every namespace (the default)')
    .option('-l, --selector <labels>', 'only requests of proxies whose pods have these labels')
    .addOption(
      new Option('--since <duration>', 'how far back: 90s, 10m, 1h').argParser(readSeconds).default(600, '10m'),
    )
    .option('--logs <file>', 'a saved access log in place of those of the clusters, or -; may be repeated', collect, [])
    .option('--from <name>', 'the pod or workload whose saved log it is, where its lines do not say')
    .addOption(
      new Option('-o, --output <format>', 'text, json or yaml').choices(['text', 'json', 'yaml']).default('text'),
    )
    .option('--fail-on-change', 'exit with 1 when requests would go elsewhere', false)
    .option('--fail-on-failure', 'exit with 1 when more requests would fail', false)
    .addHelpText('after', HELP)
    .action(runImpact);
}

async function runImpact(flags: ImpactFlags): Promise<void> {
  const { filename, delete: deletions, context, allNamespaces, since, ...rest } = flags;
  const [{ impact }, { UserError }] = await Promise.all([import('../impact/impact.ts'), import('../user-error.ts')]);
  if (filename.length + deletions.length === 0)
    throw new UserError('nothing would change: name files with -f, or with --delete', 2);
  if (allNamespaces === true && flags.namespace !== undefined)
    throw new UserError('-A and -n exclude one another: leave one of them out', 2);
  const options = { ...rest, files: filename, deletions, contexts: context, sinceSeconds: since };
  process.exitCode = await impact(options);
}

function readSeconds(text: string): number {
  const parts = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(text);
  const [hours = 0, minutes = 0, seconds = 0] = (parts ?? []).slice(1).map((part) => Number(part ?? 0));
  const whole = hours * 3600 + minutes * 60 + seconds;
  if (parts === null || whole === 0) throw new InvalidArgumentError('Write a duration: 90s, 10m, 1h30m.');
  return whole;
}
