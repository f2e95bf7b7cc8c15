// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import { CLUSTERSET_ZONE, GLOBAL_ZONE } from '../../api/export-names.ts';
import { everyAddress } from '../../process/own-addresses.ts';
import { collect } from './sandbox-options.ts';

interface DnsFlags {
  kubeconfig?: string;
  context?: string;
  host?: string;
  port: string;
  readyPort: string;
  zone: string[];
}

export function register(program: Command): void {
  program
    .command('dns')
    .description(
      'Answer names of remote services (*.global, *.clusterset.local) with the addresses of their ServiceEntries.',
    )
    .option('--kubeconfig <file>', 'where the cluster is (default: the pod’s own service account)')
    .option('--context <name>', 'a context of that file')
    .option('--host <address>', 'address to listen on (default: every one)')
    .option('--port <port>', 'UDP and TCP port', '5353')
    .option('--ready-port <port>', 'port of GET /ready', '8181')
    .option(
      '--zone <domain>',
      'a domain to answer for; may be repeated (default: global, clusterset.local)',
      collect,
      [],
    )
    .addHelpText(
      'after',
      '\nDeployment istiocoredns runs it; point the cluster’s DNS at its Service for those domains.',
    )
    .action(async (flags: DnsFlags) => {
      const [{ runDns }, { KubeClient }, { inClusterConfig, loadKubeconfig }, { createLog }, { processSignal }] =
        await Promise.all([
          import('../../dns/main.ts'),
          import('../../kube/client.ts'),
          import('../../kube/config.ts'),
          import('../../runtime/log.ts'),
          import('../../runtime/process-signal.ts'),
        ]);
      const config =
        flags.kubeconfig === undefined && flags.context === undefined
          ? inClusterConfig()
          : loadKubeconfig(flags.kubeconfig, flags.context);
      const client = new KubeClient(config);
      const { host = everyAddress() } = flags;
      const zones = flags.zone.length > 0 ? flags.zone : [GLOBAL_ZONE, CLUSTERSET_ZONE];
      const options = { client, host, zones, port: Number(flags.port), readyPort: Number(flags.readyPort) };
      await runDns({ ...options, log: createLog('dns') }, processSignal());
      client.close();
    });
}
