// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';
import { parseDuration } from '../../api/values.ts';
import { everyAddress } from '../../process/own-addresses.ts';
import { collectSeldom } from '../../runtime/collector.ts';
import { UserError } from '../user-error.ts';

interface ControlPlaneFlags {
  kubeconfig?: string;
  context?: string;
  clusterId: string;
  trustDomain: string;
  dnsDomain: string;
  host?: string;
  xdsPort: string;
  adminPort: string;
  webhookPort: string;
  roles: string;
  workloadCertTtl: number;
  requireCacerts: boolean;
  logLevel: string;
  registryStateDir?: string;
}

export function register(program: Command): void {
  program
    .command('control-plane')
    .description(
      'Run the control plane of one cluster: configuration and certificates for its proxies, and the webhooks.',
    )
    .option('--kubeconfig <file>', 'where the cluster is (default: the pod’s own service account)')
    .option('--context <name>', 'a context of that file')
    .option('--cluster-id <name>', 'the cluster’s name in the mesh', 'Kubernetes')
    .option('--trust-domain <domain>', 'of SPIFFE ids', 'cluster.local')
    .option('--dns-domain <domain>', 'of Kubernetes services', 'cluster.local')
    .option('--host <address>', 'address to listen on (default: every one)')
    .option('--xds-port <port>', 'of ADS and SDS over TLS', '15012')
    .option('--admin-port <port>', 'of /ready, /metrics and, from this machine only, /debug', '15014')
    .option('--webhook-port <port>', 'of the webhooks', '15017')
    .option('--roles <list>', 'what to do of pilot, ca, injector and validator', 'pilot,ca,injector,validator')
    .option('--require-cacerts', 'wait for Secret cacerts instead of making a root of its own', false)
    .option(
      '--workload-cert-ttl <duration>',
      'how long a workload’s certificate lives',
      readDuration,
      readDuration('24h'),
    )
    .option('--registry-state-dir <dir>', 'where what is known of other clusters is kept, for a restart without them')
    .option('--log-level <level>', 'error, warn, info or debug', 'info')
    .addHelpText('after', '\nDeployment istiod runs it (see: isthmus install --help).')
    .action(async (flags: ControlPlaneFlags) => {
      collectSeldom();
      const [
        { runControlPlane },
        { ROLES },
        { KubeClient },
        { inClusterConfig, loadKubeconfig },
        { createLog },
        { processSignal },
      ] = await Promise.all([
        import('../../runtime/control-plane.ts'),
        import('../../runtime/control-plane-options.ts'),
        import('../../kube/client.ts'),
        import('../../kube/config.ts'),
        import('../../runtime/log.ts'),
        import('../../runtime/process-signal.ts'),
      ]);
      const { kubeconfig, context, clusterId: cluster, trustDomain, dnsDomain, host = everyAddress() } = flags;
      const fromFile = kubeconfig !== undefined || context !== undefined;
      const client = new KubeClient(fromFile ? loadKubeconfig(kubeconfig, context) : inClusterConfig());
      const ports = { xds: Number(flags.xdsPort), admin: Number(flags.adminPort), webhooks: Number(flags.webhookPort) };
      const log = createLog('control-plane', flags.logLevel);
      const roles = readRoles(flags.roles, ROLES);
      try {
        await runControlPlane(
          {
            client,
            cluster,
            trustDomain,
            dnsDomain,
            roles,
            host,
            ports,
            workloadLifetimeMs: flags.workloadCertTtl,
            requireGivenCa: flags.requireCacerts,
            ...(flags.registryStateDir === undefined ? {} : { registryStateDir: flags.registryStateDir }),
            log,
          },
          processSignal(),
        );
      } finally {
        client.close();
      }
    });
}

function readDuration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms < 10_000) throw new InvalidArgumentError('Give a duration of at least 10s, such as 24h.');
  return ms;
}

function readRoles<T extends string>(text: string, known: readonly T[]): ReadonlySet<T> {
  const wanted = text.split(',').map((role) => role.trim());
  const unknown = wanted.filter((role) => !known.some((name) => name === role));
  if (unknown.length > 0)
    throw new UserError(`--roles ${text}: there is no role ${unknown.join(', ')}; use ${known.join(', ')}`, 2);
  return new Set(known.filter((name) => wanted.includes(name)));
}
