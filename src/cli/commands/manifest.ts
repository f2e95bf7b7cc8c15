// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';

interface GenerateFlags {
  set: string[];
  clusterName: string;
  output: 'yaml' | 'json';
}

export function register(program: Command): void {
  const manifest = program.command('manifest').description('The objects that an installation consists of.');
  manifest
    .command('generate')
    .description('Print them in the order in which they are to be applied, and change nothing.')
    .option(
      '--set <name=value>',
      'as for install; may be repeated',
      (value: string, all: string[]) => [...all, value],
      [],
    )
    .option('--cluster-name <name>', 'the cluster’s name in the mesh', 'Kubernetes')
    .addOption(new Option('-o, --output <format>', 'yaml or json').choices(['yaml', 'json']).default('yaml'))
    .addHelpText(
      'after',
      '\nExample:\n  isthmus manifest generate --cluster-name cluster1 > isthmus.yaml\n\nkubectl must know the definitions before an object of their kinds: apply the file twice, or let install do it.',
    )
    .action(async (flags: GenerateFlags) => {
      const [{ buildStages }, { readInstallValues }, { buildCrds }, { stringify }] = await Promise.all([
        import('../../install/manifest.ts'),
        import('../install-target.ts'),
        import('../../api/crds.ts'),
        import('yaml'),
      ]);
      const stages = buildStages(readInstallValues(flags.set, flags.clusterName), buildCrds());
      const objects = stages.flatMap((stage) => stage.objects);
      process.stdout.write(
        flags.output === 'yaml'
          ? objects.map((object) => `---\n${stringify(object, { aliasDuplicateObjects: false })}`).join('')
          : `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }, undefined, 2)}\n`,
      );
    });
}
