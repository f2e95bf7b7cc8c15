// SPDX-License-Identifier: Apache-2.0
import type { Command } from 'commander';
import type { Door, Question } from '../mesh/verify/probe/wire.ts';

/** Run by `mesh verify` in the pods that it makes; nobody types them. */
export function register(program: Command): void {
  const group = program
    .command('mesh-probe', { hidden: true })
    .description('What `isthmus mesh verify` runs in its probe pods.');
  group
    .command('serve')
    .description('Answer probes.')
    .requiredOption('--cluster <name>', 'whose probe this is')
    .option('--port <port>', 'port to listen on', '8080')
    .action(async ({ cluster, port }: { cluster: string; port: string }) => {
      const [{ serveProbe }, { processSignal }] = await Promise.all([
        import('../mesh/verify/probe/serve.ts'),
        import('../../runtime/process-signal.ts'),
      ]);
      await serveProbe(cluster, Number(port), processSignal());
    });
  group
    .command('ask')
    .description('Send one probe, as JSON says.')
    .argument('<question>')
    .argument('<cluster>', 'whose answer it has to be')
    .action(async (question: string, cluster: string) => {
      const { ask } = await import('../mesh/verify/probe/ask.ts');
      print(await ask(JSON.parse(question) as Question, cluster));
    });
  group
    .command('examine')
    .description('Dial a gateway past the sidecar.')
    .argument('<door>')
    .action(async (door: string) => {
      const { examine } = await import('../mesh/verify/probe/examine.ts');
      print(await examine(JSON.parse(door) as Door));
    });
  group
    .command('proxy')
    .description('Tell what the proxy of this container has for a destination.')
    .argument('<cluster>')
    .action(async (destination: string) => {
      const { readProxy } = await import('../mesh/verify/probe/proxy-sight.ts');
      print(await readProxy(destination));
    });
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
