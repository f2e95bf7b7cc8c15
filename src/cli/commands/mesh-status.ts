// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';

interface StatusFlags {
  filename?: string;
  context: string[];
  kubeconfig?: string;
  output: 'text' | 'json';
}

const HELP = `
Examples:
  isthmus mesh status                                        the clusters of mesh.yaml
  isthmus mesh status --context cluster1 --context cluster2  without a file
  isthmus mesh status -o json | jq '.problems'

What is wrong comes first, each with its cure; then each cluster with its proxies and certificates, who reads whom and
since when, and how far rules that are written once have arrived. Nothing is changed. Exit code 0: nothing is out of
order but for warnings; 1: something does not work; 2: called wrongly.`;

export function registerStatus(mesh: Command): void {
  mesh
    .command('status')
    .description('say how the clusters are: reach, versions, proxies, certificates, and what each knows of the others')
    .option('-f, --filename <file>', 'the mesh’s file (default: mesh.yaml)')
    .option(
      '--context <name>',
      'a kubeconfig context, in place of a file; may be repeated',
      (value: string, previous: string[]) => [...previous, value],
      [],
    )
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .addOption(new Option('-o, --output <format>', 'text or json').choices(['text', 'json']).default('text'))
    .addHelpText('after', HELP)
    .action(async ({ filename, context, kubeconfig, output }: StatusFlags) => {
      const { meshStatus } = await import('../mesh/status/status.ts');
      process.exitCode = await meshStatus({
        ...(filename !== undefined && { file: filename }),
        ...(kubeconfig !== undefined && { kubeconfig }),
        ...{ contexts: context, output },
      });
    });
}
