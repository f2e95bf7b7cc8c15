// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox down`: nothing stays, neither of a running sandbox nor of one that was killed.
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { paths, SandboxError, sandboxDir, sockets } from '../layout.ts';
import { MAX_CLUSTERS } from '../network/addresses.ts';
import { removeControlGroups } from '../node/container/control-groups.ts';
import { type HostRecord, livingProcesses, readHostRecord } from './host-record.ts';
import { withLock } from './lock.ts';

const GRACE_MS = 8_000;
const KILL_TIMEOUT_MS = 5_000;
const POLL_MS = 20;
/** An `up` that is under way is waited for. */
const LOCK_TIMEOUT_MS = 120_000;

export interface DownResult {
  /** Something was running, or files of an earlier run were there. */
  readonly wasThere: boolean;
}

/** Idempotent. With `keepState`, the next `up` continues with the objects that the clusters hold now. */
export async function stopSandbox(name: string, options: { keepState: boolean }): Promise<DownResult> {
  const stateDir = sandboxDir(name);
  if (!existsSync(join(stateDir, '..'))) return { wasThere: false };
  return withLock(`${stateDir}.lock`, LOCK_TIMEOUT_MS, async () => {
    callOffStarts(stateDir);
    const record = readHostRecord(stateDir);
    const wasThere = existsSync(stateDir);
    await stopProcesses(record);
    for (const folder of readdirOf(stateDir)) await removeControlGroups(join(stateDir, folder, 'node'));
    if (options.keepState) removeRuntimeFiles(stateDir);
    else removeState(stateDir);
    return { wasThere };
  });
}

/**
 * Asks the keeper to end the sandbox; kills what has not ended in time. Everything inside dies with its first process.
 * @throws SandboxError when a process survives that, because it is another user's.
 */
export async function stopProcesses(record: HostRecord | undefined): Promise<void> {
  if (await signalAndWait(record, 'SIGTERM', GRACE_MS)) return;
  if (await signalAndWait(record, 'SIGKILL', KILL_TIMEOUT_MS)) return;
  const pids = livingProcesses(record).map(({ pid }) => pid);
  throw new SandboxError(`The sandbox's processes (${pids.join(', ')}) do not end. Try as the user who started it.`);
}

/** @returns true when none of them lives any more. */
async function signalAndWait(
  record: HostRecord | undefined,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  const [first] = livingProcesses(record);
  if (first === undefined) return true;
  for (const { pid } of signal === 'SIGKILL' ? livingProcesses(record) : [first]) sendSignal(pid, signal);
  const deadline = performance.now() + timeoutMs;
  while (livingProcesses(record).length > 0) {
    if (performance.now() > deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}

function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EPERM') {
      throw new SandboxError(`Process ${pid} of the sandbox is another user's. Run this as the user who started it.`);
    }
    if (code !== 'ESRCH') throw error;
  }
}

/** A start whose `up` was killed goes on by itself: without its request it does not (see `claimRequest`). */
export function callOffStarts(stateDir: string): void {
  for (const file of readdirOf(stateDir).filter((name) => name.startsWith('request-'))) {
    rmSync(join(stateDir, file), { force: true });
  }
}

/** What only a running sandbox needs; its data and logs stay. */
export function removeRuntimeFiles(stateDir: string): void {
  const doors = Array.from({ length: MAX_CLUSTERS }, (_, i) => sockets.gateway(i + 1));
  const files = [paths.host(stateDir), paths.status(stateDir), paths.kubeconfig(stateDir)];
  callOffStarts(stateDir);
  for (const file of [...files, ...[sockets.control, sockets.api, ...doors].map((socket) => join(stateDir, socket))]) {
    rmSync(file, { force: true });
  }
}

function readdirOf(dir: string): string[] {
  return existsSync(dir) ? readdirSync(dir) : [];
}

export function removeState(stateDir: string): void {
  rmSync(stateDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}
