// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import { addValueFlags, type ValueFlags } from '../value-flags.ts';
import { addInstallFlags, runInstall } from './install.ts';

interface GenerateFlags extends ValueFlags {
  name?: string;
  namespace?: string;
  clusterName: string;
  includeCrds: boolean;
  output: 'yaml' | 'json';
}

const GENERATE_HELP = `
Examples:
  isthmus manifest generate --cluster-name cluster1 > isthmus.yaml
  isthmus manifest generate install/kubernetes/helm/istio --name istio --namespace istio-system \\
    -f install/kubernetes/helm/istio/values-istio-multicluster-gateways.yaml > istio.yaml

Takes the flags of "helm template" as they stand. The namespace istio-system and the definitions (CRDs) are not among the
objects, since both have to be there before:
  kubectl create namespace istio-system
  for i in install/kubernetes/helm/istio-init/files/crd*yaml; do kubectl apply -f $i; done`;

export function register(program: Command): void {
  const manifest = program.command('manifest').description('The objects that an installation consists of.');
  addValueFlags(
    manifest
      .command('generate')
      .description('Print them in the order in which they are to be applied, and change nothing.')
      .argument('[chart]', 'a folder of install/kubernetes/helm; its values lie over the defaults'),
  )
    .option('--name <release>', 'as Helm has it; the names of the objects do not depend on it')
    .option('--namespace <name>', 'istio-system, and no other')
    .option('--cluster-name <name>', 'the cluster’s name in the mesh', 'Kubernetes')
    .option('--include-crds', 'begin with the definitions (CRDs)', false)
    .addOption(new Option('-o, --output <format>', 'yaml or json').choices(['yaml', 'json']).default('yaml'))
    .addHelpText('after', GENERATE_HELP)
    .action(generate);
  addInstallFlags(
    manifest
      .command('apply')
      .description('Install the mesh, as `install` does, under the name that istioctl has for it.')
      .addHelpText(
        'after',
        '\nExample:\n  isthmus manifest apply -f install/kubernetes/operator/examples/multicluster/' +
          'values-istio-multicluster-gateways.yaml',
      ),
  ).action(runInstall);
}

async function generate(dir: string | undefined, flags: GenerateFlags): Promise<void> {
  const [{ buildStages, withManagedLabels }, { checkNamespace, readChart, readInstallValues }, { buildCrds }, yaml] =
    await Promise.all([
      import('../../install/manifest.ts'),
      import('../install-values.ts'),
      import('../../api/crds.ts'),
      import('yaml'),
    ]);
  checkNamespace(flags.namespace);
  const chart = dir === undefined ? undefined : readChart(dir);
  const crds = buildCrds();
  const values = readInstallValues(flags, flags.clusterName, chart);
  const stages = buildStages(values, flags.includeCrds ? crds : []).filter(({ name }) => name !== 'namespace');
  const objects = chart?.name === 'istio-init' ? crds.map(withManagedLabels) : stages.flatMap((stage) => stage.objects);
  process.stdout.write(
    flags.output === 'yaml'
      ? objects.map((object) => `---\n${yaml.stringify(object, { aliasDuplicateObjects: false })}`).join('')
      : `${JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }, undefined, 2)}\n`,
  );
}
