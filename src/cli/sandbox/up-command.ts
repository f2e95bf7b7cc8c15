// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox up`, as the terminal sees it.
import { dirname, join, resolve } from 'node:path';
import { Listr } from 'listr2';
import packageJson from '../../../package.json' with { type: 'json' };
import { findCheckedEnvoy, projectRoot } from '../../runtime/toolchain.ts';
import type { Toolchain } from '../../sandbox/layout.ts';
import { describeSandbox } from '../../sandbox/life/status.ts';
import type { ClusterStatus, SandboxStatus } from '../../sandbox/life/status-file.ts';
import { startSandbox, type UpOptions, type UpResult } from '../../sandbox/life/up.ts';
import { commandName } from '../command-name.ts';
import { shellWord } from '../shell-word.ts';
import { UserError } from '../user-error.ts';
import { printReport, renderReport } from './report.ts';
import { withCure } from './with-cure.ts';

export interface UpCommandOptions {
  readonly name: string;
  readonly clusters?: number;
  readonly network?: string;
  readonly podCidr?: string;
  readonly rootless: boolean;
  readonly images: readonly string[];
  readonly fresh: boolean;
  readonly apiPort?: number;
  readonly gatewayPort?: number;
  readonly output?: 'json' | 'yaml';
}

export async function up(options: UpCommandOptions): Promise<void> {
  const interrupted = new AbortController();
  const interrupt = () => interrupted.abort(new UserError('interrupted; what had been started was stopped again'));
  process.once('SIGINT', interrupt).once('SIGTERM', interrupt);
  const { clusters, network, podCidr, apiPort, gatewayPort } = options;
  const request: UpOptions = {
    name: options.name,
    rootless: options.rootless || process.geteuid?.() !== 0,
    fresh: options.fresh,
    imageFiles: options.images,
    networks: { ...(network === undefined ? {} : { network }), ...(podCidr === undefined ? {} : { podCidr }) },
    toolchain: findToolchain(),
    version: packageJson.version,
    ...(clusters === undefined ? {} : { clusters }),
    ...(apiPort === undefined ? {} : { apiPort }),
    ...(gatewayPort === undefined ? {} : { gatewayPort }),
  };
  let result: UpResult;
  try {
    const start = options.output === undefined && process.stderr.isTTY ? startWithList : startWithLines;
    result = await withCure(() => start(request, interrupted.signal));
  } finally {
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
  }
  const report = await describeSandbox(options.name);
  if (options.output !== undefined) printReport(report, options.output);
  else
    process.stdout.write(
      `${headline(options.name, result)}\n\n${renderReport(report)}\n${nextSteps(options.name, report.kubeconfig!)}`,
    );
}

function headline(name: string, result: UpResult): string {
  const seconds = `${(result.elapsedMs / 1000).toFixed(1)} s`;
  switch (result.kind) {
    case 'already-running':
      return `The sandbox "${name}" is running already.`;
    case 'resumed':
      return `The sandbox "${name}" is ready again after ${seconds}, with the objects it had (--fresh starts from nothing).`;
    case 'started':
      return `The sandbox "${name}" is ready after ${seconds}.`;
  }
}

function nextSteps(name: string, kubeconfig: string): string {
  const flag = name === 'default' ? '' : ` --name ${name}`;
  return `
Next:
  export KUBECONFIG=${shellWord(kubeconfig)}
  kubectl --context cluster1 get nodes
  ${commandName()} install --context cluster1
  ${commandName()} sandbox down${flag}
`;
}

/** On a terminal: one line per cluster, which says what it waits for. */
async function startWithList(request: UpOptions, signal: AbortSignal): Promise<UpResult> {
  const waiting = new Map<string, { promise: Promise<void>; resolve(): void }>();
  let current: SandboxStatus | undefined;
  const names = Array.from({ length: request.clusters ?? 2 }, (_, i) => `cluster${i + 1}`);
  for (const name of names) waiting.set(name, Promise.withResolvers<void>());
  const started = startSandbox(
    request,
    (status) => {
      current = status;
      for (const cluster of status.clusters) if (isReady(cluster)) waiting.get(cluster.name)?.resolve();
    },
    signal,
  );
  const whole = started.then(
    () => {},
    (error: Error) => {
      throw error;
    },
  );
  const tasks = new Listr(
    names.map((name) => ({
      title: name,
      task: async (_: unknown, task: { output: string }) => {
        const ticker = setInterval(() => {
          const cluster = current?.clusters.find((candidate) => candidate.name === name);
          task.output = cluster === undefined ? 'networks' : `waiting for ${pending(cluster).join(', ')}`;
        }, 100);
        try {
          await Promise.race([waiting.get(name)!.promise, whole]);
        } finally {
          clearInterval(ticker);
        }
      },
    })),
    { concurrent: true, exitOnError: false, rendererOptions: { showErrorMessage: false } },
  );
  await tasks.run();
  return started;
}

/** Into a file or a pipe: one line per fact, on stderr, so that stdout stays what was asked for. */
async function startWithLines(request: UpOptions, signal: AbortSignal): Promise<UpResult> {
  const said = new Set<string>();
  const say = (line: string) => {
    if (!said.has(line)) process.stderr.write(`${line}\n`);
    said.add(line);
  };
  return startSandbox(
    request,
    (status) => {
      for (const { name, ready } of status.clusters) {
        if (ready.api) say(`${name}: API server ready`);
        if (ready.node) say(`${name}: node ready`);
        if (ready.dns) say(`${name}: DNS and services ready`);
      }
    },
    signal,
  );
}

function isReady({ ready }: ClusterStatus): boolean {
  return ready.api && ready.node && ready.dns;
}

function pending({ ready }: ClusterStatus): string[] {
  return [
    ...(ready.api ? [] : ['API server']),
    ...(ready.node ? [] : ['node']),
    ...(ready.dns ? [] : ['DNS and services']),
  ];
}

function findToolchain(): Toolchain {
  const root = projectRoot();
  const envoy = asUserError(findCheckedEnvoy);
  // The script that runs now: the bundle, or the sources.
  const entry = resolve(process.argv[1]!);
  return {
    node: process.execPath,
    entry,
    dist: entry.endsWith('.mjs') ? dirname(entry) : join(root, 'dist'),
    ...(envoy === undefined ? {} : { envoy }),
  };
}

function asUserError<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new UserError(error instanceof Error ? error.message : String(error));
  }
}
