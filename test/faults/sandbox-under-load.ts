// SPDX-License-Identifier: Apache-2.0
// A sandbox of two clusters on which a test breaks something while requests come in.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { expect, type TestContext } from 'vitest';
import { TestSandbox } from '../fixture/sandbox.ts';
import { type FailedRequest, Load, type LoadReport, type LoadTarget } from './load-generator.ts';

/** Of all targets together: a busy service's. */
const RATE_PER_SECOND = 200;
const REQUEST_TIMEOUT_MS = 30_000;
/** Our own two clusters and their load come to three at most. */
const BUSY_PER_PROCESSOR = 4;

export type Cluster = 'cluster1' | 'cluster2';

/**
 * Skips the test where the machine is busy with other work and had no time for the load: then requests time out that no
 * mesh could have saved. A machine of our own has no such excuse.
 */
export function judgeLosses(report: LoadReport, context: TestContext, losses: readonly FailedRequest[]): void {
  const [load = 0] = loadavg();
  const isBusy = load > BUSY_PER_PROCESSOR * availableParallelism();
  if (losses.length > 0 && isBusy && !report.wasCarried) {
    context.skip(`this machine (load ${load.toFixed(0)}) could not carry the requests:\n${report.text}`);
  }
  expect(losses, report.text).toEqual([]);
}

export abstract class SandboxUnderLoad {
  readonly sandbox: TestSandbox;
  #load: Load | undefined;

  constructor(label: string) {
    this.sandbox = new TestSandbox(label);
  }

  /** What is asked in turn. */
  protected abstract targets(): readonly LoadTarget[];

  /** What is left behind. */
  async down(): Promise<string[]> {
    this.#load?.kill();
    return this.sandbox.down();
  }

  kubectl(cluster: Cluster, ...args: string[]): Promise<string> {
    return this.sandbox.kubectl('--context', cluster, ...args);
  }

  /** The cluster's cable to all others: pulled, or put back. */
  cable(verb: 'disconnect' | 'connect', cluster: Cluster): Promise<unknown> {
    return this.sandbox.must('sandbox', 'network', verb, cluster, '--name', this.sandbox.name);
  }

  apply(cluster: Cluster, yaml: string): Promise<string> {
    const file = join(this.sandbox.dir, `apply-${cluster}.yaml`);
    writeFileSync(file, yaml);
    return this.kubectl(cluster, 'apply', '-f', file);
  }

  /** Names of the pods that are not on their way out. */
  async pods(cluster: Cluster, app: string, namespace = 'default'): Promise<string[]> {
    const { items } = JSON.parse(
      await this.kubectl(cluster, 'get', 'pods', '-n', namespace, '-l', `app=${app}`, '-o', 'json'),
    ) as { items: { metadata: { name: string; deletionTimestamp?: string } }[] };
    return items.flatMap(({ metadata }) => (metadata.deletionTimestamp === undefined ? [metadata.name] : []));
  }

  /** `kubectl rollout restart`; over when the new pods are ready and the old ones gone. */
  async restart(cluster: Cluster, deployment: string, namespace = 'default'): Promise<void> {
    const before = await this.pods(cluster, deployment, namespace);
    await this.kubectl(cluster, 'rollout', 'restart', '-n', namespace, `deployment/${deployment}`);
    await this.kubectl(cluster, 'rollout', 'status', '-n', namespace, `deployment/${deployment}`, '--timeout=90s');
    await this.gone(cluster, before, namespace);
  }

  async gone(cluster: Cluster, pods: readonly string[], namespace = 'default'): Promise<void> {
    const names = pods.map((pod) => `pod/${pod}`);
    await this.kubectl(cluster, 'wait', '-n', namespace, '--for=delete', ...names, '--timeout=90s');
  }

  /** kill -9 of a pod's process, as seen from outside. @returns the time before and after */
  kill(pod: string, commandPart: string): { before: number; after: number } {
    const victims = processesOfPod(pod).filter(({ command }) => command.includes(commandPart));
    if (victims.length === 0) throw new Error(`pod ${pod} has no process with "${commandPart}"`);
    const before = Date.now();
    for (const { pid } of victims) process.kill(pid, 'SIGKILL');
    return { before, after: Date.now() };
  }

  /**
   * Requests at full rate while `fault` does what it does, and for a while after it; ends when they are answered. The
   * report has the failures since the fault: it does not begin before a second's requests in a row went well.
   */
  async underLoad(fault: (load: Load) => Promise<void>): Promise<LoadReport> {
    const load = new Load({
      targets: this.targets(),
      ratePerSecond: RATE_PER_SECOND,
      timeoutMs: REQUEST_TIMEOUT_MS,
    });
    this.#load = load;
    try {
      await load.wellAnswered(RATE_PER_SECOND, 30_000);
      load.mark('the fault');
      const begun = Date.now();
      await fault(load);
      load.mark('its end');
      await load.wellAnswered(RATE_PER_SECOND, 60_000);
      const report = await load.stop();
      console.log(report.text);
      return { ...report, failed: report.failed.filter(({ sentAt }) => sentAt >= begun) };
    } finally {
      load.kill();
    }
  }

  /** See `judgeLosses`. */
  judge(report: LoadReport, context: TestContext, losses: readonly FailedRequest[]): void {
    judgeLosses(report, context, losses);
  }

  /** Failures of the requests to the target of that name. */
  failuresOf(report: LoadReport, name: string): readonly FailedRequest[] {
    return report.failed.filter(({ target }) => target === name);
  }
}

/** Of a pod's containers, on this machine: a pod's host name is its own. */
function processesOfPod(pod: string): { pid: number; command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const environment = readFileSync(`/proc/${name}/environ`, 'utf8').split('\0');
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return environment.includes(`HOSTNAME=${pod}`) ? [{ pid: Number(name), command }] : [];
      } catch {
        return []; // it ended, or it is somebody else's
      }
    });
}
