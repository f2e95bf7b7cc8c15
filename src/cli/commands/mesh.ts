// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';
import type { InitOptions } from '../mesh/init.ts';
import { registerStatus } from './mesh-status.ts';
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
  isthmus mesh init                          writes mesh.yaml, of the contexts of your kubeconfig
  isthmus mesh up                            makes them one mesh; again, after each change of mesh.yaml
  isthmus mesh down                          takes it out of them again`,
    );
  registerInit(mesh);
  registerVerify(mesh);
  registerStatus(mesh);
  registerUp(mesh);
  registerDown(mesh);
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

interface UpFlags {
  filename: string;
  kubeconfig?: string;
  dryRun: boolean;
  yes: boolean;
  prune: boolean;
  verbose: boolean;
  timeout: number;
}

function registerUp(mesh: Command): void {
  mesh
    .command('up')
    .description('make the clusters of a mesh.yaml one mesh, or what has changed in it; safe to run again')
    .option('-f, --filename <file>', 'the mesh; - is standard input', 'mesh.yaml')
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('--dry-run', 'show the plan, and change nothing', false)
    .option('-y, --yes', 'do not ask', false)
    .option('--prune', 'remove clusters that are in the mesh and no more in the file', false)
    .option('--timeout <seconds>', 'how long each part may take to become ready', decodeSeconds, 300)
    .option('-v, --verbose', 'name every object', false)
    .addHelpText(
      'after',
      `
Examples:
  isthmus mesh up -f mesh.yaml --dry-run     what it would do
  isthmus mesh up -f mesh.yaml               certificates, installation, accounts and secrets between clusters, DNS, exports

Clusters are worked on side by side. One that cannot be reached is named, and the others are finished; a second run
completes it. Exit code 0: all is ready; 1: something is not; 2: called wrongly.`,
    )
    .action(async ({ timeout, ...flags }: UpFlags) => {
      const { meshUp } = await import('../mesh/up.ts');
      process.exitCode = await meshUp({ ...flags, timeoutMs: timeout * 1000 });
    });
}

interface DownFlags {
  filename: string;
  kubeconfig?: string;
  cluster: string[];
  dryRun: boolean;
  yes: boolean;
  leaveServed: boolean;
  keepCrds: boolean;
  timeout: number;
}

function registerDown(mesh: Command): void {
  mesh
    .command('down')
    .description('take the mesh out of clusters again, while the traffic of the others goes on')
    .option('-f, --filename <file>', 'the mesh; - is standard input', 'mesh.yaml')
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('--cluster <name>', 'a cluster that leaves (default: all); may be repeated', collect, [])
    .option('--dry-run', 'show what would go, and change nothing', false)
    .option('-y, --yes', 'do not ask', false)
    .option('--leave-served', 'even where clusters stay whose control plane goes', false)
    .option('--keep-crds', 'keep the definitions, and with them VirtualServices, ServiceEntries and the like', false)
    .option('--timeout <seconds>', 'how long each part may take to go', decodeSeconds, 120)
    .addHelpText(
      'after',
      `
Examples:
  isthmus mesh down --dry-run
  isthmus mesh down --cluster cluster3       the others forget it first: what they ask of it goes elsewhere
  isthmus mesh down                          all clusters; nothing stays behind

Namespaces, Services and Deployments of yours stay, as does Secret cacerts where you made it.`,
    )
    .action(async ({ timeout, cluster, ...flags }: DownFlags) => {
      const { meshDown } = await import('../mesh/down.ts');
      process.exitCode = await meshDown({ ...flags, clusters: cluster, timeoutMs: timeout * 1000 });
    });
}

function decodeSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0 && seconds <= 86_400)) throw new InvalidArgumentError('Give a number of seconds above 0.');
  return seconds;
}

function decodeName(name: string): string {
  if (/^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/.test(name)) return name;
  throw new InvalidArgumentError('Use at most 40 lower-case letters, digits and dashes.');
}
