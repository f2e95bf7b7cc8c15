// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Severity } from '../../api/diagnostics.ts';
import type { OutputFormat } from '../analyze/render.ts';

interface AnalyzeFlags {
  context: string[];
  kubeconfig?: string;
  namespace?: string;
  allNamespaces: boolean;
  filename: string[];
  useKube: boolean;
  output: OutputFormat;
  failureThreshold: Severity;
  outputThreshold: Severity;
  suppress: string[];
  color?: boolean;
  listAnalyzers: boolean;
}

const EXAMPLES = `
Examples:
  isthmus analyze                                     the current context's namespace, and the mesh's own parts
  isthmus analyze --context cluster1 -A               all namespaces
  isthmus analyze --context cluster1 --context cluster2 -A
                                                      both, and whether they fit together (roots, watched clusters)
  isthmus analyze -f reviews.yaml -f rules/           as if these were applied to the cluster
  isthmus analyze --use-kube=false rules/             files alone, without any cluster
  kubectl get vs,dr,se,gw -A -o yaml | isthmus analyze --use-kube=false -
  isthmus analyze -A -o json --failure-threshold warning
  isthmus analyze -A --suppress 'IST0102=Namespace *' --output-threshold warning

Each message has a code (docs/diagnostics.md; Istio's where Istio says the same), the object, the field, and a cure. Exit code 0: nothing as serious as
--failure-threshold; 1: something is; 2: called wrongly.`;

const collect = (value: string, previous: string[]): string[] => [...previous, value];

export function register(program: Command): void {
  program
    .command('analyze')
    .description('Say what is wrong with mesh objects, in clusters or in files, and with the mesh itself.')
    .argument('[files...]', 'files and folders of YAML, - for standard input; as if they were applied')
    .option('-f, --filename <file>', 'a file or folder, as an argument; may be repeated', collect, [])
    .option('--context <name>', 'a kubeconfig context (default: the current one); may be repeated', collect, [])
    .option('--kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', 'whose objects are judged (default: the context’s)')
    .option('-A, --all-namespaces', 'those of every namespace', false)
    .option('-k, --use-kube <bool>', 'look into the cluster; false: files alone', readBool, true)
    .addOption(
      new Option('-o, --output <format>', 'log (a line for each), json or yaml')
        .choices(['log', 'json', 'yaml'])
        .default('log'),
    )
    .option('--failure-threshold <level>', 'exit with 1 from this level on: info, warning or error', readLevel, 'error')
    .option('--output-threshold <level>', 'leave out what is less serious', readLevel, 'info')
    .option('-S, --suppress <what>', 'leave out CODE=KIND NAME.NAMESPACE; * for any; may be repeated', collect, [])
    .option('--color [bool]', 'colour, also where the output is no terminal; false: never', readBool)
    .option('-L, --list-analyzers', 'say what is looked at, and end', false)
    .addHelpText('after', EXAMPLES)
    .action(runAnalyze);
}

async function runAnalyze(files: readonly string[], flags: AnalyzeFlags): Promise<void> {
  if (flags.listAnalyzers) return listAnalyzers();
  const [{ analyze }, { UserError }] = await Promise.all([import('../analyze/analyze.ts'), import('../user-error.ts')]);
  const paths = [...files, ...flags.filename];
  if (!flags.useKube && paths.length === 0)
    throw new UserError('--use-kube=false leaves nothing to look at: name files or folders', 2);
  if (flags.allNamespaces && flags.namespace !== undefined)
    throw new UserError('-A and -n exclude one another: leave one of them out', 2);
  const color = flags.color ?? (process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined);
  process.exitCode = await analyze({ ...flags, color, contexts: flags.context, paths });
}

async function listAnalyzers(): Promise<void> {
  const { listedAnalyzers } = await import('../analyze/listed-analyzers.ts');
  process.stdout.write(listedAnalyzers());
}

function readBool(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  throw new InvalidArgumentError('Write true or false.');
}

function readLevel(text: string): Severity {
  const level = text.toLowerCase();
  if (level === 'info' || level === 'warning' || level === 'error') return level;
  throw new InvalidArgumentError('Use info, warning or error.');
}
