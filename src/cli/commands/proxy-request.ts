// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';

export function register(program: Command): void {
  program
    .command('proxy-request')
    .description('Ask the proxy’s admin interface, from inside its container.')
    .argument('<path>', 'as /stats, /config_dump')
    .option('--admin-pipe <path>', 'the socket of Envoy’s admin interface', '/tmp/envoy-admin.sock')
    .addOption(new Option('-X, --method <method>', 'GET or POST').choices(['GET', 'POST']).default('GET'))
    .addHelpText('after', '\nExample:\n  kubectl exec POD -c istio-proxy -- isthmus proxy-request /stats')
    .action(async (path: string, { adminPipe, method }: { adminPipe: string; method: 'GET' | 'POST' }) => {
      const { askAdmin } = await import('../../injector/admin-request.ts');
      process.stdout.write(await askAdmin(adminPipe, method, path.startsWith('/') ? path : `/${path}`));
    });
}
