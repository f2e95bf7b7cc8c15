// SPDX-License-Identifier: Apache-2.0
// Which module owns which command. Each registers descriptions and options only; actions import the real work lazily.
import type { Command } from 'commander';

type CommandModule = { register(program: Command): void };

const GROUPS: readonly [names: readonly string[], load: () => Promise<CommandModule>][] = [
  [['demo'], () => import('./commands/demo.ts')],
  [['sandbox'], () => import('./commands/sandbox.ts')],
  [['install', 'uninstall'], () => import('./commands/install.ts')],
  [['mesh'], () => import('./commands/mesh.ts')],
  [['analyze'], () => import('./commands/analyze.ts')],
  [['describe', 'desc'], () => import('./commands/describe.ts')],
  [['proxy-status', 'ps'], () => import('./commands/proxy-status.ts')],
  [['proxy-config', 'pc'], () => import('./commands/proxy-config.ts')],
  [['explain'], () => import('./commands/explain.ts')],
  [['impact'], () => import('./commands/impact.ts')],
  [['rules'], () => import('./commands/rules.ts')],
  [['version'], () => import('./commands/version.ts')],
  [['manifest'], () => import('./commands/manifest.ts')],
  [['certs'], () => import('./commands/certs.ts')],
  [['serve'], () => import('./commands/serve.ts')],
  [['control-plane'], () => import('./commands/control-plane.ts')],
  [['dns'], () => import('./commands/dns.ts')],
  [['mesh-probe'], () => import('./commands/mesh-probe.ts')],
  [['proxy-init'], () => import('./commands/proxy-init.ts')],
  [['proxy-drain'], () => import('./commands/proxy-drain.ts')],
  [['proxy-request'], () => import('./commands/proxy-request.ts')],
];

/** Registers the group that `argv` names, or all of them for help and for names that no group has. */
export async function registerCommands(
  program: Command,
  argv: readonly string[] = process.argv.slice(2),
): Promise<void> {
  const wanted = GROUPS.find(([names]) => argv[0] !== undefined && names.includes(argv[0]));
  for (const [, load] of wanted ? [wanted] : GROUPS) (await load()).register(program);
}
