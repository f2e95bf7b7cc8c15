// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox up`: from whatever is there (nothing, a running sandbox, the leavings of a killed one) to clusters
// that answer.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readJson, writeAtomically } from '../atomic-file.ts';
import { addOwnImages, readImageFiles } from '../images/own-images-file.ts';
import {
  paths,
  readConfig,
  type SandboxConfig,
  SandboxError,
  SandboxUsageError,
  STATE_FORMAT,
  sandboxDir,
  type Toolchain,
} from '../layout.ts';
import { MAX_CLUSTERS } from '../network/addresses.ts';
import { type NetworkWishes, planNetworks } from '../network/network-plan.ts';
import type { ComponentStatus } from './component-process.ts';
import { callOffStarts, removeRuntimeFiles, removeState, stopProcesses } from './down.ts';
import { type HostRecord, livingProcesses, readHostRecord } from './host-record.ts';
import { type KeeperRequest, type PortWish, sandboxPath } from './keeper.ts';
import { withLock } from './lock.ts';
import { hostProbe, probeHost } from './probe.ts';
import { identify } from './process-identity.ts';
import type { SandboxStatus } from './status-file.ts';

const DEFAULT_API_PORT = 18_000;
const DEFAULT_GATEWAY_PORT = 18_080;
const READY_TIMEOUT_MS = 90_000;
const LOCK_TIMEOUT_MS = 120_000;
const POLL_MS = 40;
const HOPELESS_RESTARTS = 4;

export interface UpOptions {
  readonly name: string;
  /** Default: 2, or as many as the running or kept sandbox has. */
  readonly clusters?: number;
  /** As written by the user: see network-plan.ts. */
  readonly networks: NetworkWishes;
  readonly rootless: boolean;
  /** Start from nothing even if the state of an earlier run is there. */
  readonly fresh: boolean;
  /** Programs of the user's own; added to those that the sandbox has. */
  readonly imageFiles: readonly string[];
  readonly apiPort?: number;
  /** Cluster 1's; the others follow. */
  readonly gatewayPort?: number;
  readonly toolchain: Toolchain;
  readonly version: string;
}

export interface UpResult {
  /** `resumed`: from the state of a sandbox that had ended without `down`, or with `down --keep-state`. */
  readonly kind: 'started' | 'resumed' | 'already-running';
  readonly config: SandboxConfig;
  readonly status: SandboxStatus;
  readonly elapsedMs: number;
}

/**
 * @param onStatus called with every change while the clusters start.
 * @param signal aborted: what was started here is stopped again.
 * @throws SandboxError with what the user can do.
 */
export async function startSandbox(
  options: UpOptions,
  onStatus: (status: SandboxStatus) => void,
  signal: AbortSignal,
): Promise<UpResult> {
  const startedAt = performance.now();
  const stateDir = sandboxDir(options.name);
  checkOptions(options);
  const images = readImageFiles(options.imageFiles, options.rootless);
  makeFolder(join(stateDir, '..'));
  refuseFullDisk(join(stateDir, '..'));
  return withLock(`${stateDir}.lock`, LOCK_TIMEOUT_MS, async () => {
    const result = (kind: UpResult['kind'], config: SandboxConfig, status: SandboxStatus): UpResult => ({
      kind,
      config,
      status,
      elapsedMs: performance.now() - startedAt,
    });
    callOffStarts(stateDir);
    const record = readHostRecord(stateDir);
    const running = readJson<SandboxConfig>(paths.config(stateDir));
    if (running !== undefined && record !== undefined && livingProcesses(record).includes(record.keeper)) {
      checkSameShape(options, running);
      addOwnImages(stateDir, images);
      try {
        return result('already-running', running, await waitUntilReady(stateDir, record, onStatus, signal));
      } catch (error) {
        // It was on its way down, or we called its start off: then there is none, as if we had come a moment later.
        if (livingProcesses(record).length > 0) throw error;
      }
    }
    await stopProcesses(record);
    if (options.fresh) removeState(stateDir);
    const previous = readJson<SandboxConfig>(paths.config(stateDir));
    checkFormat(previous, stateDir);
    const resumes = existsSync(join(stateDir, 'cluster1/apiserver/state.db'));
    probeHost(hostProbe({ rootless: options.rootless, path: sandboxPath(process.env['PATH']), stateDir }));
    const request = renderRequest(options, stateDir, previous);
    mkdirSync(paths.logs(stateDir), { recursive: true, mode: 0o700 });
    removeRuntimeFiles(stateDir);
    addOwnImages(stateDir, images);
    const started = startKeeper(request);
    try {
      const status = await waitUntilReady(stateDir, started, onStatus, signal);
      return result(resumes ? 'resumed' : 'started', readConfig(paths.config(stateDir)), status);
    } catch (error) {
      await stopProcesses(readHostRecord(stateDir) ?? started);
      removeRuntimeFiles(stateDir);
      // What failed may have had no room for its reason.
      refuseFullDisk(stateDir);
      throw error;
    }
  });
}

function checkOptions({ clusters, apiPort, gatewayPort }: UpOptions): void {
  if (clusters !== undefined && !(Number.isInteger(clusters) && clusters >= 1 && clusters <= MAX_CLUSTERS)) {
    throw new SandboxUsageError(`--clusters takes a number from 1 to ${MAX_CLUSTERS}.`);
  }
  for (const port of [apiPort, gatewayPort]) {
    if (port !== undefined && !(Number.isInteger(port) && port >= 1 && port <= 65_535 - MAX_CLUSTERS)) {
      throw new SandboxUsageError(`${port} is not a port: take one from 1024 to 65000.`);
    }
  }
}

/** Databases, logs, and copies of programs that pods could not read where they are. */
const MIN_FREE_BYTES = 32_000_000;

function refuseFullDisk(dir: string): void {
  const { bavail, bsize } = statfsSync(dir);
  const free = bavail * bsize;
  if (free >= MIN_FREE_BYTES) return;
  throw new SandboxError(
    `The disk is full: where the sandbox keeps its files (${dir}) only ${Math.floor(free / 1e6)} MB are free, and it needs ` +
      `${MIN_FREE_BYTES / 1e6} MB at least. Make room, or set ISTHMUS_STATE_DIR to a folder on another disk.`,
  );
}

function checkFormat(previous: SandboxConfig | undefined, stateDir: string): void {
  const format = previous?.format ?? STATE_FORMAT;
  if (format === STATE_FORMAT) return;
  throw new SandboxError(
    `The state in ${stateDir} was written by version ${previous?.version} of this program, in a form (${format}) that this ` +
      `version does not read (it reads ${STATE_FORMAT}). Use that version, or start from nothing: isthmus sandbox up --fresh`,
  );
}

function makeFolder(path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new SandboxError(
      `The sandbox keeps its files in ${path}, which cannot be made (${(error as NodeJS.ErrnoException).code}): set ` +
        'ISTHMUS_STATE_DIR to a folder that you may write.',
    );
  }
}

function checkSameShape(options: UpOptions, config: SandboxConfig): void {
  const differs = <T>(wanted: T | undefined, is: T | undefined) => wanted !== undefined && wanted !== is;
  const wanted = planNetworks(config.clusters, options.networks, config.networks);
  const differences = [
    ...(JSON.stringify(wanted) === JSON.stringify(planNetworks(config.clusters, {}, config.networks))
      ? []
      : ['other networks or pod addresses']),
    ...(differs(options.clusters, config.clusters) ? [`${config.clusters} clusters, not ${options.clusters}`] : []),
    ...(differs(options.apiPort, config.ports.api) ? [`--api-port ${config.ports.api}, not ${options.apiPort}`] : []),
    ...(differs(options.gatewayPort, config.ports.gateways[0])
      ? [`--gateway-port ${config.ports.gateways[0]}, not ${options.gatewayPort}`]
      : []),
  ];
  if (differences.length === 0) return;
  throw new SandboxError(
    `The sandbox "${options.name}" is running with ${differences.join(' and ')}. End it first ` +
      `(isthmus sandbox down --name ${options.name}), or start another one beside it under another --name.`,
  );
}

function renderRequest(options: UpOptions, stateDir: string, previous: SandboxConfig | undefined): KeeperRequest {
  const clusters = options.clusters ?? previous?.clusters ?? 2;
  const wish = (explicit: number | undefined, before: number | undefined, standard: number): PortWish => ({
    port: explicit ?? before ?? standard,
    isExplicit: explicit !== undefined,
  });
  const { gatewayPort } = options;
  return {
    format: STATE_FORMAT,
    name: options.name,
    version: options.version,
    stateDir,
    clusters,
    networks: planNetworks(clusters, options.networks, previous?.networks),
    rootless: options.rootless,
    toolchain: options.toolchain,
    ports: {
      api: wish(options.apiPort, previous?.ports.api, DEFAULT_API_PORT),
      gateways: Array.from({ length: clusters }, (_, i) =>
        wish(
          gatewayPort === undefined ? undefined : gatewayPort + i,
          previous?.ports.gateways[i],
          DEFAULT_GATEWAY_PORT + 1 + i,
        ),
      ),
    },
  };
}

/** Starts the process that stays on the host, in a session of its own; it writes its name on disk itself. */
function startKeeper(request: KeeperRequest): HostRecord {
  const { stateDir, toolchain } = request;
  const requestFile = paths.request(stateDir);
  writeAtomically(requestFile, JSON.stringify(request, undefined, 2));
  rmSync(paths.log(stateDir, 'host'), { force: true });
  const log = openSync(paths.log(stateDir, 'host'), 'a', 0o600);
  const program = [toolchain.node, '--disable-warning=ExperimentalWarning', toolchain.entry];
  const child = spawn(program[0]!, [...program.slice(1), 'sandbox', 'component', 'host', '--config', requestFile], {
    detached: true,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  const keeper = child.pid === undefined ? undefined : identify(child.pid);
  child.once('error', () => {}); // It has no process id then.
  child.unref();
  if (keeper === undefined) throw new SandboxError(`${toolchain.node} could not be started.`);
  return { keeper };
}

async function waitUntilReady(
  stateDir: string,
  record: HostRecord,
  onStatus: (status: SandboxStatus) => void,
  signal: AbortSignal,
): Promise<SandboxStatus> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  let seen = '';
  for (;;) {
    signal.throwIfAborted();
    const status = readJson<SandboxStatus>(paths.status(stateDir));
    if (status !== undefined && JSON.stringify(status) !== seen) {
      seen = JSON.stringify(status);
      onStatus(status);
    }
    if (status?.phase === 'ready') return status;
    if (livingProcesses(record).length === 0) {
      const reason = lastWords(paths.log(stateDir, 'host'));
      if (status === undefined && reason !== '') throw new SandboxError(reason);
      throw new SandboxError(
        `The sandbox ended while it was starting. ${reason} The logs are in ${paths.logs(stateDir)}.`,
      );
    }
    const hopeless = status && findHopeless(status);
    if (hopeless) throw new SandboxError(describeFailure(stateDir, hopeless));
    if (performance.now() > deadline) throw new SandboxError(describeDelay(stateDir, status));
    await sleep(POLL_MS, undefined, { signal }).catch(() => {});
  }
}

/** A component that failed at every attempt so far will do so again: the next one is only slower. */
function findHopeless(status: SandboxStatus): ComponentStatus | undefined {
  const components = [...status.components, ...status.clusters.flatMap((cluster) => cluster.components)];
  return components.find(({ restarts }) => restarts >= HOPELESS_RESTARTS);
}

function describeFailure(stateDir: string, { name, lastExit }: ComponentStatus): string {
  const log = paths.log(stateDir, name);
  return (
    `The sandbox was stopped: its component ${name} does not start (${lastExit}). It said last: ${lastWords(log, 1)} ` +
    `Its log is ${log}. To start from nothing: isthmus sandbox up --fresh`
  );
}

function describeDelay(stateDir: string, status: SandboxStatus | undefined): string {
  const names = { api: 'API server', node: 'node', dns: 'DNS' } as const;
  const waiting = (status?.clusters ?? []).flatMap(({ name, ready }) =>
    (['api', 'node', 'dns'] as const).filter((part) => !ready[part]).map((part) => `${names[part]} of ${name}`),
  );
  const what = waiting.length > 0 ? waiting.join(', ') : 'everything';
  return (
    `The sandbox was not ready after ${READY_TIMEOUT_MS / 1000} s and was stopped; it was waiting for: ${what}. ` +
    `The logs are in ${paths.logs(stateDir)}. To start from nothing: isthmus sandbox up --fresh`
  );
}

/** What a process that failed said last: our own components end with one sentence. */
function lastWords(logFile: string, count = 3): string {
  const lines = existsSync(logFile) ? readFileSync(logFile, 'utf8').trim().split('\n') : [];
  return lines.slice(-count).join(' ').slice(-1_000);
}
