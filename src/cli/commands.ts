// SPDX-License-Identifier: Apache-2.0
// Which module owns which command. Each registers descriptions and options only; actions import the real work lazily.
import type { Command } from 'commander';

type CommandModule = { register(program: Command): void };
type Owned = readonly [names: readonly string[], load: () => Promise<CommandModule>];

/** As `isthmus --help` shows them: what somebody new needs first comes first. */
const GROUPS: readonly { readonly heading: string; readonly commands: readonly Owned[] }[] = [
  {
    heading: 'A mesh of several clusters:',
    commands: [
      [['demo'], () => import('./commands/demo.ts')],
      [['mesh'], () => import('./commands/mesh.ts')],
    ],
  },
  {
    heading: 'Ask before and after a change:',
    commands: [
      [['explain'], () => import('./commands/explain.ts')],
      [['impact'], () => import('./commands/impact.ts')],
      [['analyze'], () => import('./commands/analyze.ts')],
      [['describe', 'desc'], () => import('./commands/describe.ts')],
      [['rules'], () => import('./commands/rules.ts')],
    ],
  },
  {
    heading: 'Look at the proxies:',
    commands: [
      [['proxy-status', 'ps'], () => import('./commands/proxy-status.ts')],
      [['proxy-config', 'pc'], () => import('./commands/proxy-config.ts')],
      [['version'], () => import('./commands/version.ts')],
    ],
  },
  {
    heading: 'Cluster by cluster:',
    commands: [
      [['install', 'uninstall'], () => import('./commands/install.ts')],
      [['manifest'], () => import('./commands/manifest.ts')],
      [['certs'], () => import('./commands/certs.ts')],
      [['sandbox'], () => import('./commands/sandbox.ts')],
    ],
  },
  {
    heading: 'Run by the mesh itself, in its pods:',
    commands: [
      [['serve'], () => import('./commands/serve.ts')],
      [['control-plane'], () => import('./commands/control-plane.ts')],
      [['dns'], () => import('./commands/dns.ts')],
      [['mesh-probe'], () => import('./commands/mesh-probe.ts')],
      [['proxy-init'], () => import('./commands/proxy-init.ts')],
      [['proxy-drain'], () => import('./commands/proxy-drain.ts')],
      [['proxy-request', 'request'], () => import('./commands/proxy-request.ts')],
    ],
  },
];

/** Registers the commands that `argv` names, or all of them for help and for names that nobody has. */
export async function registerCommands(
  program: Command,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const all = GROUPS.flatMap(({ commands }) => commands);
  const wanted = all.find(([names]) => argv[0] !== undefined && names.includes(argv[0]));
  if (wanted !== undefined) return (await wanted[1]()).register(program);
  for (const { heading, commands } of GROUPS) {
    program.commandsGroup(heading);
    for (const [, load] of commands) (await load()).register(program);
  }
}
