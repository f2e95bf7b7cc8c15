// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';
import type { ProgressReport } from '../install-progress.ts';
import { addValueFlags, type ValueFlags } from '../value-flags.ts';

interface TargetFlags {
  context?: string;
  kubeconfig?: string;
}

interface InstallFlags extends TargetFlags, ValueFlags {
  wait: boolean;
  timeout: string;
  dryRun: boolean;
  output?: 'yaml' | 'json';
  verbose: boolean;
}

interface UninstallFlags extends TargetFlags {
  keepCrds: boolean;
}

/** Of `install`, and of `manifest apply`. */
export function addInstallFlags(command: Command): Command {
  return addValueFlags(command)
    .option('--context <name>', 'the kubeconfig context (default: the current one)')
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('--wait', 'end only when all of it is ready (the default)', true)
    .option('--no-wait', 'end when all of it has been applied')
    .option('--timeout <seconds>', 'how long each part may take to become ready', '300')
    .option('--dry-run', 'change nothing, and say what would change', false)
    .option('-v, --verbose', 'name every object', false)
    .option('-y, --skip-confirmation', 'as istioctl has it; nothing is asked here in any case')
    .addOption(new Option('-o, --output <format>', 'report what was done in this format').choices(['yaml', 'json']));
}

export function register(program: Command): void {
  addInstallFlags(program.command('install'))
    .description('Install the mesh in a cluster, through its Kubernetes API alone. Safe to run again.')
    .addHelpText(
      'after',
      `
Examples:
  isthmus install --context cluster1
  isthmus install --context cluster1 --set global.multiCluster.clusterName=eu-west --set pilot.logLevel=debug
  isthmus install --context cluster1 -f values.yaml

The cluster's name in the mesh is the context's name unless it is set. Secret cacerts in namespace istio-system gives
the CA (see: isthmus certs --help); without it the CA is self-signed.`,
    )
    .action(runInstall);
  program
    .command('uninstall')
    .description('Remove the mesh from a cluster: all that install made, definitions and mesh objects included.')
    .option('--context <name>', 'the kubeconfig context (default: the current one)')
    .option('--kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-y, --skip-confirmation', 'as istioctl has it; nothing is asked here in any case')
    .option('--purge', 'as istioctl has it: all that install made, which is what goes in any case')
    .option('--keep-crds', 'keep the definitions, and with them VirtualServices, ServiceEntries and the like', false)
    .addHelpText('after', '\nExample:\n  isthmus uninstall --context cluster1')
    .action(runUninstall);
}

export async function runInstall(flags: InstallFlags): Promise<void> {
  const [{ install }, { readTarget }, { readInstallValues }, { startProgress }, { buildCrds }, { UserError }] =
    await Promise.all([
      import('../../install/install.ts'),
      import('../install-target.ts'),
      import('../install-values.ts'),
      import('../install-progress.ts'),
      import('../../api/crds.ts'),
      import('../user-error.ts'),
    ]);
  const timeoutMs = Number(flags.timeout) * 1000;
  if (!(timeoutMs > 0)) throw new UserError(`--timeout ${flags.timeout}: give a number of seconds above 0`, 2);
  const target = readTarget(flags);
  const values = readInstallValues(flags, target.contextName);
  const clusterName = values.global.multiCluster.clusterName || target.contextName;
  const progress = startProgress({ verbose: flags.verbose, quiet: flags.output !== undefined, dryRun: flags.dryRun });
  progress.line(`${flags.dryRun ? 'Would install' : 'Installing'} Isthmus in ${clusterName} (${target.client.server})`);
  try {
    await install({
      client: target.client,
      values,
      crds: buildCrds(),
      dryRun: flags.dryRun,
      wait: flags.wait,
      timeoutMs,
      signal: target.signal,
      report: progress.event,
    });
  } catch (error) {
    progress.failed();
    throw target.explain(error, 'it is safe to run the same command again: it goes on where it ended');
  } finally {
    target.close();
  }
  const report = progress.done();
  if (flags.output !== undefined) await print({ cluster: clusterName, ...report }, flags.output);
}

async function print(report: { cluster: string } & ProgressReport, format: 'yaml' | 'json'): Promise<void> {
  const { stringify } = await import('yaml');
  process.stdout.write(format === 'yaml' ? stringify(report) : `${JSON.stringify(report, undefined, 2)}\n`);
}

async function runUninstall(flags: UninstallFlags): Promise<void> {
  const [{ uninstall }, { readTarget }] = await Promise.all([
    import('../../install/uninstall.ts'),
    import('../install-target.ts'),
  ]);
  const target = readTarget(flags);
  process.stdout.write(`Removing Isthmus from ${target.contextName} (${target.client.server})\n`);
  try {
    await uninstall({
      client: target.client,
      keepDefinitions: flags.keepCrds,
      report: (event) => {
        process.stdout.write(event.kind === 'deleted' ? `  deleted ${event.object}\n` : `  ${event.message}\n`);
      },
    });
  } catch (error) {
    throw target.explain(error, 'it is safe to run the same command again: what is gone already does no harm');
  } finally {
    target.close();
  }
  process.stdout.write('Isthmus is removed.\n');
}
