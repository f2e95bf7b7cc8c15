// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import type { ComponentRequest } from '../../sandbox/life/components.ts';
import type { UpCommandOptions } from '../sandbox/up-command.ts';
import { registerImages } from './sandbox-images.ts';
import { registerNetwork } from './sandbox-network.ts';
import { collect, nameOption, outputOption, parseNumber } from './sandbox-options.ts';
import { registerLogs, registerShell } from './sandbox-pods.ts';

export function register(program: Command): void {
  const sandbox = program
    .command('sandbox')
    .description('small Kubernetes clusters on this machine, made of processes and namespaces; Linux only')
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox up                         two clusters, contexts cluster1 and cluster2
  export KUBECONFIG=$(isthmus sandbox status -o json | jq -r .kubeconfig)
  kubectl --context cluster2 get pods -A
  isthmus sandbox down                       nothing stays behind`,
    );
  registerUp(sandbox);
  registerStatus(sandbox);
  registerDown(sandbox);
  registerReset(sandbox);
  registerLogs(sandbox);
  registerShell(sandbox);
  registerImages(sandbox);
  registerNetwork(sandbox);
  registerComponent(sandbox);
}

function registerUp(sandbox: Command): void {
  sandbox
    .command('up')
    .description('start the clusters, or say where they are if they run already')
    .addOption(nameOption())
    .option('--clusters <n>', 'how many: cluster1, cluster2, ... (default: 2)', parseNumber)
    .option(
      '--network <networks>',
      'which clusters reach one another’s pods: separate (none), flat (all), or cluster1=net1,cluster2=net1,... (default: separate)',
    )
    .option(
      '--pod-cidr <cidr>',
      'addresses of the pods: a /16 for every cluster, or cluster1=10.8.0.0/16,... (default: 10.N.0.0/16 in clusterN)',
    )
    .option('--rootless', 'use a user namespace also when this is root (plain users always do)', false)
    .option('--images <file>', 'programs of your own, under image names; may be repeated', collect, [])
    .option('--fresh', 'forget what an earlier sandbox of this name left', false)
    .option(
      '--api-port <port>',
      'port of the proxy to the API servers (default: 18000, or the next free one)',
      parseNumber,
    )
    .option(
      '--gateway-port <port>',
      'port of the gateway of cluster1, the others follow (default: 18081, or the next free one)',
      parseNumber,
    )
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox up
  isthmus sandbox up --name other --clusters 3
  isthmus sandbox up --network flat               pods reach the pods of other clusters
  isthmus sandbox up --pod-cidr 10.0.0.0/16       the same pod addresses in every cluster: only gateways help
  isthmus sandbox up --images my-images.yaml      see: isthmus sandbox images --help
  isthmus sandbox up -o json | jq -r '.clusters[].gateway.url'

A sandbox that was killed, or ended with \`down --keep-state\`, continues with the objects that its clusters held.
As a plain user it is no security boundary: everything in it runs as that user.`,
    )
    .action(async (options: UpCommandOptions) => {
      await (await import('../sandbox/up-command.ts')).up(options);
    });
}

function registerStatus(sandbox: Command): void {
  sandbox
    .command('status')
    .description('kubeconfig, contexts, networks, gateways, components; exit code 1 when it is not running')
    .addOption(nameOption())
    .addOption(outputOption())
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox status
  isthmus sandbox status -o json | jq -r .kubeconfig`,
    )
    .action(async (options: { name: string; output?: 'json' | 'yaml' }) => {
      await (await import('../sandbox/status-command.ts')).status(options);
    });
}

function registerDown(sandbox: Command): void {
  sandbox
    .command('down')
    .description('end it and remove everything; nothing happens when there is none')
    .addOption(nameOption())
    .option('--keep-state', 'keep the clusters’ objects and the logs for the next `up`', false)
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox down
  isthmus sandbox down --keep-state         the next \`up\` continues with the same objects
  isthmus sandbox down --name other`,
    )
    .action(async (options: { name: string; keepState: boolean }) => {
      await (await import('../sandbox/status-command.ts')).down(options);
    });
}

function registerReset(sandbox: Command): void {
  sandbox
    .command('reset')
    .description('empty clusters again, within seconds; kubeconfig, ports and images stay')
    .addOption(nameOption())
    .option('--cluster <cluster>', 'only this one; may be repeated', collect, [])
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox reset                      every object and pod of every cluster is gone
  isthmus sandbox reset --cluster cluster2`,
    )
    .action(async (options: { name: string; cluster: string[] }) => {
      await (await import('../sandbox/order-commands.ts')).reset(options.name, options.cluster);
    });
}

/** The processes of the sandbox itself start here. */
function registerComponent(sandbox: Command): void {
  sandbox
    .command('component', { hidden: true })
    .argument('<component>')
    .requiredOption('--config <file>')
    .option('--cluster <index>', '', parseNumber)
    .action(async (component: string, options: { config: string; cluster?: number }) => {
      const { config: configFile, cluster } = options;
      const request: ComponentRequest = { component, configFile, ...(cluster === undefined ? {} : { cluster }) };
      const ending = new AbortController();
      for (const name of ['SIGTERM', 'SIGINT'] as const) process.on(name, () => ending.abort());
      const { runComponent } = await import('../../sandbox/life/components.ts');
      let exitCode = 0;
      try {
        await runComponent(request, ending.signal);
      } catch (error) {
        // The sentence comes last: that is what `up` quotes from the log.
        const { name, message, stack } = error as Error;
        process.stderr.write(name === 'SandboxError' ? `${message}\n` : `${stack}\n${message}\n`);
        exitCode = 1;
      }
      // Whatever a component still holds open ends with it.
      process.exit(exitCode);
    });
}
