// SPDX-License-Identifier: Apache-2.0
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { collectSeldom } from '../../runtime/collector.ts';

interface ServeFlags {
  configDir: string;
  host: string;
  port: string;
  grpcAddr?: string;
  adminPort: string;
  clusterId: string;
  trustDomain: string;
  dnsDomain: string;
  keys: boolean;
  logLevel: string;
}

export function register(program: Command): void {
  program
    .command('serve')
    .description(
      'Serve configuration to Envoys on this machine from a directory of Istio YAML files, read again on change.',
    )
    .requiredOption('--config-dir <dir>', 'YAML files of Services, EndpointSlices, VirtualServices and the like')
    .option('--host <address>', 'a loopback address: what is served is plaintext', '127.0.0.1')
    .option('--port <port>', 'of ADS; 0 takes a free one', '15010')
    .option('--grpc-addr <address:port>', 'both in one, as istiod has it: 127.0.0.1:15010 or [::1]:15010')
    .option('--admin-port <port>', 'of /ready, /metrics and /debug; 0 takes a free one', '15014')
    .option('--cluster-id <name>', 'cluster of proxies that do not name theirs', 'Kubernetes')
    .option('--trust-domain <domain>', 'of SPIFFE ids', 'cluster.local')
    .option('--dns-domain <domain>', 'of Kubernetes services', 'cluster.local')
    .option('--no-keys', 'leave out the proxies’ keys (to measure the rest)')
    .option('--log-level <level>', 'error, warn, info or debug', 'info')
    .addHelpText('after', '\nExample:\n  isthmus serve --config-dir mesh/ --grpc-addr 127.0.0.1:15010')
    .action(async (flags: ServeFlags) => {
      collectSeldom();
      const [{ serve }, { createLog }, { processSignal }, { UserError }] = await Promise.all([
        import('../../runtime/serve.ts'),
        import('../../runtime/log.ts'),
        import('../../runtime/process-signal.ts'),
        import('../user-error.ts'),
      ]);
      if (!existsSync(flags.configDir))
        throw new UserError(`--config-dir ${flags.configDir}: there is no such directory`, 2);
      const { configDir, clusterId: cluster, trustDomain, dnsDomain, keys } = flags;
      const address = flags.grpcAddr === undefined ? flags : splitAddress(flags.grpcAddr);
      if (address === undefined) {
        throw new UserError(`--grpc-addr ${flags.grpcAddr}: write ADDRESS:PORT, as in 127.0.0.1:15010`, 2);
      }
      const { host } = address;
      const ports = { port: Number(address.port), adminPort: Number(flags.adminPort) };
      const log = createLog('serve', flags.logLevel);
      try {
        await serve({ configDir, host, ...ports, cluster, trustDomain, dnsDomain, keys, log }, processSignal());
      } catch (error) {
        const { code, message } = error as NodeJS.ErrnoException;
        if (code === 'EADDRINUSE') throw new UserError(`${message}. Choose other ports with --port and --admin-port.`);
        if (message.includes('not a loopback address')) throw new UserError(message, 2);
        throw error;
      }
    });
}

/** `127.0.0.1:15010`, `[::1]:15010`, or `:15010` for loopback. */
function splitAddress(text: string): { host: string; port: string } | undefined {
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d+)$/.exec(text) ?? [];
  return port === undefined ? undefined : { host: bracketed ?? (plain || '127.0.0.1'), port };
}
