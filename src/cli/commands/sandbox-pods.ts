// SPDX-License-Identifier: Apache-2.0
import { type Command, InvalidArgumentError } from 'commander';
import type { LogsOptions } from '../sandbox/pod-commands.ts';
import { nameOption, parseNumber } from './sandbox-options.ts';

export function registerLogs(sandbox: Command): void {
  withPodOptions(
    sandbox
      .command('logs')
      .description('what the sandbox’s own components wrote, or a pod')
      .argument('[source]', 'cluster1-apiserver, portal, ... or a pod’s name; without it, the list of components'),
  )
    .option('-f, --follow', 'go on as it grows', false)
    .option('--tail <lines>', 'only the last lines', parseNumber)
    .option('--since <duration>', 'only what is younger: 30s, 5m, 2h', parseSeconds)
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox logs                           which there are
  isthmus sandbox logs cluster1-node --since 5m
  isthmus sandbox logs reviews-v1 -c istio-proxy -f
      the only pod whose name begins so, whatever its cluster and namespace`,
    )
    .action(async (source: string | undefined, options: LogsOptions) => {
      await (await import('../sandbox/pod-commands.ts')).logs(source, options);
    });
}

export function registerShell(sandbox: Command): void {
  withPodOptions(
    sandbox
      .command('shell')
      .description('a shell in a container of a pod; also where the image would have none')
      .argument('<pod>', 'its name, or the beginning of it'),
  )
    .addHelpText(
      'after',
      `
Examples:
  isthmus sandbox shell productpage
  isthmus sandbox shell reviews-v1 -c istio-proxy --cluster cluster2
  echo 'cat /etc/resolv.conf' | isthmus sandbox shell productpage

It ends with the exit code of the shell.`,
    )
    .action(async (pod: string, options: LogsOptions) => {
      await (await import('../sandbox/pod-commands.ts')).shell(pod, options);
    });
}

function withPodOptions(command: Command): Command {
  return command
    .addOption(nameOption())
    .option('--cluster <cluster>', 'the pod’s cluster (default: any)')
    .option('-n, --namespace <namespace>', 'the pod’s namespace (default: any)')
    .option('-c, --container <container>', 'which of its containers (default: its main one)');
}

function parseSeconds(text: string): number {
  const match = /^(\d{1,6})(s|m|h)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('It must be a duration such as 30s, 5m or 2h.');
  return Number(match[1]) * { s: 1, m: 60, h: 3600 }[match[2] as 's' | 'm' | 'h'];
}
