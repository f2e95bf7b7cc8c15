// SPDX-License-Identifier: Apache-2.0
// Namespaces for a test, as the sandbox makes them: what happens inside stays inside and ends with it.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import type { Container, Pod, PodSpec, PodStatus } from '../../src/sandbox/node/pod-types.ts';

export type Mode = 'root' | 'rootless';

/** The ways in which this machine lets pods run, each with the reason when it does not. */
export function probeModes(): { mode: Mode; unavailable: string | undefined }[] {
  const isRoot = process.getuid?.() === 0;
  const probe = spawnSync('unshare', ['--user', '--map-root-user', '--net', '--mount', 'true'], { encoding: 'utf8' });
  return [
    { mode: 'root', unavailable: isRoot ? undefined : 'not root' },
    { mode: 'rootless', unavailable: probe.status === 0 ? undefined : `no user namespaces: ${probe.stderr.trim()}` },
  ];
}

const INIT = `
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns
exec 3<&0
while :; do
  "$@" <&3
  code=$?
  [ $code = 137 ] || exit $code
done
`;

/** The message that an agent begins with. */
const HELLO = -1;

/** An agent in namespaces of its own. */
export class Playground {
  readonly mode: Mode;
  readonly stateDir: string;
  readonly #child: ChildProcess;
  readonly #pending = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  #next = 0;

  constructor(mode: Mode, agentFile: 'agent.ts' | 'cluster-agent.ts' = 'agent.ts') {
    this.mode = mode;
    this.stateDir = mkdtempSync(join(tmpdir(), 'isthmus-node-'));
    const dist = join(this.stateDir, 'dist');
    mkdirSync(dist);
    const config = {
      stateDir: this.stateDir,
      rootless: mode === 'rootless',
      node: process.execPath,
      dist,
      envoy: findEnvoy(),
    };
    const user = mode === 'rootless' ? ['--user', '--map-root-user'] : [];
    const agent = fileURLToPath(new URL(agentFile, import.meta.url));
    this.#child = spawn(
      'unshare',
      [
        ...[...user, '--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'],
        ...[
          'sh',
          '-c',
          INIT,
          'init',
          process.execPath,
          '--disable-warning=ExperimentalWarning',
          agent,
          JSON.stringify(config),
        ],
      ],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.#receive(line));
  }

  call<T = unknown>(call: string, ...args: unknown[]): Promise<T> {
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject });
      this.#child.stdin!.write(`${JSON.stringify({ id, call, args })}\n`);
    });
  }

  status(name: string): Promise<PodStatus> {
    return this.call<PodStatus>('status', name);
  }

  /** Runs a shell line in a container; resolves with what it wrote. */
  async sh(pod: string, container: string, line: string): Promise<{ exitCode: number; output: string }> {
    return this.call('exec', pod, container, ['sh', '-c', line]);
  }

  /** Polls the pod's status until it is as wanted. @throws Error with the last status after 30 s */
  async until(name: string, wanted: (status: PodStatus) => boolean, timeoutMs = 30_000): Promise<PodStatus> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const status = await this.status(name);
      if (wanted(status)) return status;
      if (Date.now() > deadline) {
        const events = await this.call('events');
        throw new Error(`pod ${name} did not get there: ${JSON.stringify(status)}; events ${JSON.stringify(events)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Kills the agent with SIGKILL; resolves when a new one has taken its place, with the same state directory. */
  async crash(): Promise<void> {
    const restarted = new Promise<unknown>((resolve, reject) => this.#pending.set(HELLO, { resolve, reject }));
    this.call('crash').catch(() => {});
    await restarted;
  }

  /** Polls a container's log. */
  async untilLog(pod: string, container: string, wanted: string): Promise<void> {
    await expect.poll(() => this.call('logs', pod, container, 0), { timeout: 30_000 }).toContain(wanted);
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin!.end();
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5_000);
    await ended;
    clearTimeout(timer);
    rmSync(this.stateDir, { recursive: true, force: true });
  }

  #receive(line: string): void {
    const { id, result, error } = JSON.parse(line) as { id: number; result?: unknown; error?: string };
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (error === undefined) pending?.resolve(result);
    else pending?.reject(new Error(error));
  }
}

let made = 0;

/** A pod as the API server would have admitted it. */
export function makePod(name: string, spec: Partial<PodSpec>, metadata: Partial<Pod['metadata']> = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'ns', uid: `uid-${name}-${made++}`, ...metadata },
    spec: { containers: [], restartPolicy: 'Always', nodeName: 'n1', serviceAccountName: 'sa', ...spec },
  };
}

/** A container of the image `sleep` that runs a shell line. */
export function shell(name: string, line: string, more: Partial<Container> = {}): Container {
  return { name, image: 'governmentpaas/curl-ssl', command: ['sh', '-c', line], ...more };
}

export function isReady(status: PodStatus): boolean {
  return status.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
}
