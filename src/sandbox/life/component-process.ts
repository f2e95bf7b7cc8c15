// SPDX-License-Identifier: Apache-2.0
// One component of the sandbox: a child process that is started again whenever it ends.
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterLayout, paths, type SandboxConfig } from '../layout.ts';

export interface ComponentSpec {
  /** Also the log's name: `cluster1-apiserver`. */
  readonly name: string;
  readonly command: readonly string[];
  readonly logFile: string;
  readonly env: NodeJS.ProcessEnv;
}

export interface ComponentStatus {
  readonly name: string;
  readonly state: 'running' | 'waiting' | 'stopped';
  readonly pid?: number;
  readonly restarts: number;
  /** How it ended last: `exit code 1`, `signal SIGKILL`. */
  readonly lastExit?: string;
}

export interface ComponentTiming {
  readonly firstBackoffMs: number;
  readonly maxBackoffMs: number;
  /** Having run this long, it starts again without delay and from the first backoff. */
  readonly healthyAfterMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
}

const TIMING: ComponentTiming = {
  firstBackoffMs: 200,
  maxBackoffMs: 10_000,
  healthyAfterMs: 20_000,
  stopTimeoutMs: 1_500,
};

/**
 * Runs the component until `signal` aborts, then stops it (SIGTERM, later SIGKILL) and resolves when it is gone.
 * @param onChange called with every change of its status.
 * @param onReady called when the process says over its IPC channel that it serves.
 */
export async function keepRunning(
  spec: ComponentSpec,
  signal: AbortSignal,
  onChange: (status: ComponentStatus) => void,
  onReady: () => void = () => {},
  timing: ComponentTiming = TIMING,
): Promise<void> {
  let restarts = 0;
  let backoffMs = 0;
  let lastExit: string | undefined;
  const report = (state: ComponentStatus['state'], pid?: number) =>
    onChange({
      name: spec.name,
      state,
      restarts,
      ...(pid === undefined ? {} : { pid }),
      ...(lastExit === undefined ? {} : { lastExit }),
    });
  while (!signal.aborted) {
    const startedAt = performance.now();
    const child = start(spec);
    child.on('message', onReady);
    report('running', child.pid);
    lastExit = await ended(child, signal, timing.stopTimeoutMs);
    if (signal.aborted) break;
    restarts += 1;
    const wasHealthy = performance.now() - startedAt > timing.healthyAfterMs;
    backoffMs = wasHealthy ? 0 : Math.min(Math.max(backoffMs * 2, timing.firstBackoffMs), timing.maxBackoffMs);
    report('waiting');
    await sleep(backoffMs, undefined, { signal }).catch(() => {});
  }
  report('stopped');
}

/** How a component is started, in its cluster's router namespace when it has one. */
export function componentSpec(
  config: SandboxConfig,
  configFile: string,
  component: string,
  cluster?: ClusterLayout,
): ComponentSpec {
  const name = cluster === undefined ? component : `${cluster.name}-${component}`;
  const { node, entry } = config.toolchain;
  const program = [node, '--disable-warning=ExperimentalWarning', entry];
  return {
    name,
    command: [
      ...(cluster === undefined ? [] : ['nsenter', `--net=/run/netns/${cluster.netns}`, '--']),
      ...program,
      ...['sandbox', 'component', component, '--config', configFile],
      ...(cluster === undefined ? [] : ['--cluster', String(cluster.index)]),
    ],
    logFile: paths.log(config.stateDir, name),
    env: process.env,
  };
}

function start(spec: ComponentSpec): ChildProcess {
  const log = openSync(spec.logFile, 'a', 0o600);
  try {
    return spawn(spec.command[0]!, spec.command.slice(1), { stdio: ['ignore', log, log, 'ipc'], env: spec.env });
  } finally {
    closeSync(log);
  }
}

/** Resolves with how the process ended; asks it to when `signal` aborts. */
function ended(child: ChildProcess, signal: AbortSignal, stopTimeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    let killer: NodeJS.Timeout | undefined;
    const stop = () => {
      child.kill('SIGTERM');
      killer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs);
    };
    const finish = (how: string) => {
      clearTimeout(killer);
      signal.removeEventListener('abort', stop);
      resolve(how);
    };
    child.once('exit', (code, name) => finish(name === null ? `exit code ${code}` : `signal ${name}`));
    child.once('error', (error) => finish(error.message));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
