// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';
import type { InitOptions } from '../mesh/init.ts';
import { registerVerify } from './mesh-verify.ts';

const collect = (value: string, previous: string[]): string[] => [...previous, value];

export function register(program: Command): void {
  const mesh = program
    .command('mesh')
    .description('several clusters as one mesh, as a file describes it')
    .addHelpText(
      'after',
      `
Examples:
  isthmus mesh init                          writes mesh.yaml, of the contexts of your kubeconfig`,
    );
  registerInit(mesh);
  registerVerify(mesh);
}

function registerInit(mesh: Command): void {
  mesh
    .command('init')
    .description('write a mesh.yaml to begin with, of contexts of the kubeconfig; no cluster is asked for anything')
    .option('--context <name>', 'a context that belongs to the mesh (default: all); may be repeated', collect, [])
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('--name <name>', 'the mesh’s name', decodeName, 'mesh')
    .option('-o, --out <file>', 'the file to write; - is standard output', 'mesh.yaml')
    .option('--force', 'write over a file that is there', false)
    .addHelpText(
      'after',
      `
Examples:
  isthmus mesh init
  isthmus mesh init --context east --context west --name shop -o shop.yaml`,
    )
    .action(async ({ context, ...flags }: Omit<InitOptions, 'contexts'> & { context: string[] }) => {
      (await import('../mesh/init.ts')).initMesh({ ...flags, contexts: context });
    });
}

function decodeName(name: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(name)) return name;
  throw new InvalidArgumentError('Use at most 40 lower-case letters, digits and dashes.');
}
