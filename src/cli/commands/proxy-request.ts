// SPDX-License-Identifier: Apache-2.0
import { type Command, Option } from 'commander';

const ADMIN_PIPE = '/tmp/envoy-admin.sock';

export function register(program: Command): void {
  program
    .command('proxy-request')
    .description('Ask the proxy’s admin interface, from inside its container.')
    .argument('<path>', 'as /stats, /config_dump')
    .option('--admin-pipe <path>', 'the socket of Envoy’s admin interface', ADMIN_PIPE)
    .addOption(new Option('-X, --method <method>', 'GET or POST').choices(['GET', 'POST']).default('GET'))
    .addHelpText('after', '\nExample:\n  kubectl exec POD -c istio-proxy -- isthmus proxy-request /stats')
    .action((path: string, flags: { adminPipe: string; method: Method }) => ask(flags.adminPipe, flags.method, path));
  // Istio's `pilot-agent request GET stats`: the proxy's image has this program under that name too.
  program
    .command('request', { hidden: true })
    .argument('<method>', 'GET or POST')
    .argument('<path>', 'as stats, config_dump')
    .action(async (method: string, path: string) => {
      const { UserError } = await import('../user-error.ts');
      if (method !== 'GET' && method !== 'POST') throw new UserError(`method ${method}: GET or POST`, 2);
      await ask(ADMIN_PIPE, method, path);
    });
}

type Method = 'GET' | 'POST';

async function ask(adminPipe: string, method: Method, path: string): Promise<void> {
  const { askAdmin } = await import('../../injector/admin-request.ts');
  process.stdout.write(await askAdmin(adminPipe, method, path.startsWith('/') ? path : `/${path}`));
}
