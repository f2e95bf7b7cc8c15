// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Filter, Format, Part } from '../proxy-config/print.ts';

interface Flags extends Partial<Omit<Filter, 'verbose'>> {
  context?: string;
  kubeconfig?: string;
  namespace?: string;
  file?: string;
  output: Format;
  verbose?: string;
}

interface LogFlags extends Pick<Flags, 'context' | 'kubeconfig' | 'namespace'> {
  level?: string;
  reset: boolean;
}

const EXAMPLES = `
Examples:
  isthmus proxy-config cluster productpage-v1-6b746f74dc-9stvs.default   to which services it can send
  isthmus pc cluster deploy/productpage-v1 --fqdn reviews                a pod of a Deployment, and one service
  isthmus pc route deploy/productpage-v1 --name 9080                     which rule takes a request to port 9080
  isthmus pc endpoint deploy/productpage-v1 --cluster 'outbound|9080|v2|reviews.default.svc.cluster.local'
  isthmus pc secret -n istio-system deploy/istio-ingressgateway          its certificates, and their days left
  isthmus pc all deploy/productpage-v1 -o json > dump.json               everything, to be looked at later:
  isthmus pc listener -f dump.json --port 15006

POD is looked for in the context’s namespace; POD.NAMESPACE or -n names another. Private keys are never printed.`;

const PARTS: readonly { part: Part; aliases: readonly string[]; says: string; filters: readonly (keyof Filter)[] }[] = [
  {
    part: 'cluster',
    aliases: ['clusters', 'c'],
    says: 'The services that the proxy can send to, and their subsets.',
    filters: ['fqdn', 'port', 'subset', 'direction'],
  },
  {
    part: 'listener',
    aliases: ['listeners', 'l'],
    says: 'What the proxy listens on, and where a connection goes from there.',
    filters: ['address', 'port', 'type', 'verbose'],
  },
  {
    part: 'route',
    aliases: ['routes', 'r'],
    says: 'Which rule takes which request.',
    filters: ['name', 'verbose'],
  },
  {
    part: 'endpoint',
    aliases: ['endpoints', 'ep'],
    says: 'The addresses behind each cluster, and their health.',
    filters: ['address', 'port', 'cluster', 'status'],
  },
  {
    part: 'secret',
    aliases: ['secrets', 's'],
    says: 'The certificates that the proxy has, and until when they are good.',
    filters: [],
  },
  { part: 'bootstrap', aliases: ['b'], says: 'What the proxy was started with.', filters: [] },
  {
    part: 'all',
    aliases: ['a'],
    says: 'All of it; with -o json or yaml, the whole dump.',
    filters: ['fqdn', 'port', 'subset', 'direction', 'address', 'type', 'name', 'cluster', 'status', 'verbose'],
  },
];

const FILTERS: Readonly<Record<keyof Filter, () => Option>> = {
  fqdn: () => new Option('--fqdn <text>', 'only services whose name has this in it'),
  direction: () => new Option('--direction <way>', 'inbound or outbound').choices(['inbound', 'outbound']),
  subset: () => new Option('--subset <text>', 'only subsets whose name has this in it'),
  port: () => new Option('--port <number>', 'only this port').argParser(readPort),
  address: () => new Option('--address <ip>', 'only this address'),
  type: () => new Option('--type <type>', 'only listeners for HTTP, TCP or HTTP+TCP'),
  name: () => new Option('--name <name>', 'only the route configuration of this name'),
  cluster: () => new Option('--cluster <name>', 'only the endpoints of this cluster, by its whole name'),
  status: () => new Option('--status <status>', 'only endpoints that are healthy, unhealthy, draining, ejected'),
  verbose: () => new Option('--verbose [bool]', 'one line for each match; false: one for each name').default('true'),
};

export function register(program: Command): void {
  const group = program
    .command('proxy-config')
    .alias('pc')
    .description('Show what a proxy has: its clusters, listeners, routes, endpoints, certificates.')
    .addHelpText('after', EXAMPLES);
  for (const { part, aliases, says, filters } of PARTS) {
    const command = addTarget(
      group
        .command(part)
        .aliases([...aliases])
        .description(says)
        .argument('[pod]', 'POD.NAMESPACE, or deploy/NAME'),
    );
    for (const filter of filters) command.addOption(FILTERS[filter]());
    command
      .option('-f, --file <file>', 'a saved dump instead of a pod (config_dump of Envoy); -: standard input')
      .addOption(
        new Option('-o, --output <format>', 'short, json or yaml')
          .choices(['short', 'json', 'yaml'])
          .default(part === 'bootstrap' ? 'json' : 'short'),
      )
      .addHelpText('after', EXAMPLES)
      .action(async (pod: string | undefined, flags: Flags) => {
        const { proxyConfig } = await import('../proxy-config/proxy-config.ts');
        const { context, kubeconfig, namespace, file, output, verbose, ...filter } = flags;
        const target = {
          ...(context && { context }),
          ...(kubeconfig && { kubeconfig }),
          ...(namespace && { namespace }),
        };
        await proxyConfig({
          ...target,
          part,
          pod,
          ...(file && { file }),
          output,
          filter: { ...filter, verbose: verbose !== 'false' },
        });
      });
  }
  registerLog(group);
}

function registerLog(group: Command): void {
  addTarget(group.command('log').alias('o').argument('<pod>', 'POD.NAMESPACE, or deploy/NAME'))
    .description('Show or change how much Envoy logs, until it is started again.')
    .option('--level <level>', 'of all loggers (debug), or of some (http:debug,router:trace)')
    .option('-r, --reset', 'back to warning', false)
    .addHelpText('after', '\nExample:\n  isthmus pc log deploy/productpage-v1 --level http:debug,router:debug')
    .action(async (pod: string, flags: LogFlags) => {
      const { proxyLog } = await import('../proxy-config/proxy-config.ts');
      await proxyLog({ ...flags, pod });
    });
}

function addTarget(command: Command): Command {
  return command
    .option('--context <name>', 'a kubeconfig context (default: the current one)')
    .option('-c, --kubeconfig <file>', 'default: $KUBECONFIG, or ~/.kube/config')
    .option('-n, --namespace <name>', 'where POD is (default: the context’s)');
}

function readPort(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('Write a number up to 65535.');
  return port;
}
