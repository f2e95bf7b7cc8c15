// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';

interface VerifyFlags {
  filename?: string;
  context: string[];
  kubeconfig?: string;
  output: 'text' | 'json';
  timeout: number;
  patience: number;
}

const HELP = `
Examples:
  isthmus mesh verify                                        the clusters of mesh.yaml
  isthmus mesh verify -f shop.yaml
  isthmus mesh verify --context cluster1 --context cluster2  without a file
  isthmus mesh verify -o json | jq '.findings[].cause'

A namespace isthmus-verify-... with one pod is put into each cluster, and taken away at the end; what a killed run
leaves, the next one removes. Each pod asks each of the others through its own sidecar, the gateway over there and the
sidecar behind it. What fails is told by its cause (docs/mesh-verify.md). Exit code 0: every pair answers over mutual
TLS, and nothing is wrong; 1: not so; 2: called wrongly.`;

export function registerVerify(mesh: Command): void {
  mesh
    .command('verify')
    .description('prove that every cluster reaches every other by mutual TLS, and say why where one does not')
    .option('-f, --filename <file>', 'the mesh’s file (default: mesh.yaml)')
    .option(
      '--context <name>',
      'a kubeconfig context, in place of a file; two or more',
      (value: string, previous: string[]) => [...previous, value],
      [],
    )
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('--timeout <seconds>', 'how long a probe’s pod may take to become ready', readSeconds, 30)
    .option('--patience <seconds>', 'how long the way to a new pod may take to be known everywhere', readSeconds, 10)
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .addHelpText('after', HELP)
    .action(async ({ filename, context, kubeconfig, output, timeout, patience }: VerifyFlags) => {
      const { verifyMesh } = await import('../mesh/verify/verify.ts');
      process.exitCode = await verifyMesh({
        ...(filename !== undefined && { file: filename }),
        ...(kubeconfig !== undefined && { kubeconfig }),
        ...{ contexts: context, output, timeoutMs: timeout * 1000, patienceMs: patience * 1000 },
      });
    });
}

function readSeconds(text: string): number {
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new InvalidArgumentError('it must be a whole number of seconds above 0');
}
