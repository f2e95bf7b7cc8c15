// SPDX-License-Identifier: Apache-2.0
// Two clusters with the mesh on them and services in both, for tests that break something while requests come in.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import { expect, type TestContext } from 'vitest';
import { root, TestSandbox } from '../fixture/sandbox.ts';
import { until } from '../fixture/waiting.ts';
import { type FailedRequest, Load, type LoadReport } from './load-generator.ts';

/** Of all targets together: what the issue asks for. */
const RATE_PER_SECOND = 200;
const REQUEST_TIMEOUT_MS = 30_000;
const SYSTEM = 'istio-system';
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

export class MeshUnderLoad {
  readonly sandbox: TestSandbox;
  #load: Load | undefined;

  constructor(label: string) {
    this.sandbox = new TestSandbox(label);
  }

  async up(): Promise<void> {
    const { sandbox } = this;
    await sandbox.up();
    const certificates = join(sandbox.dir, 'certs');
    await sandbox.must('certs', '--out', certificates, '--clusters', 'cluster1,cluster2');
    await Promise.all((['cluster1', 'cluster2'] as const).map((cluster) => this.#install(cluster, certificates)));
    await Promise.all([this.#deploy('cluster1', 'mesh.yaml'), this.#deploy('cluster2', 'ratings.yaml')]);
    await until('both ways', async () => {
      const answers = await Promise.all(this.#targets().map(({ url }) => fetch(url)));
      return answers.every(({ status }) => status === 200);
    });
  }

  /** What is left behind. */
  async down(): Promise<string[]> {
    this.#load?.kill();
    return this.sandbox.down();
  }

  kubectl(cluster: Cluster, ...args: string[]): Promise<string> {
    return this.sandbox.kubectl('--context', cluster, ...args);
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
      targets: this.#targets(),
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

  async #install(cluster: Cluster, certificates: string): Promise<void> {
    const files = ['ca-cert.pem', 'ca-key.pem', 'root-cert.pem', 'cert-chain.pem'].map(
      (name) => `--from-file=${join(certificates, cluster, name)}`,
    );
    await this.kubectl(cluster, 'create', 'namespace', SYSTEM);
    await this.kubectl(cluster, 'create', 'secret', 'generic', 'cacerts', '-n', SYSTEM, ...files);
    await this.sandbox.must('install', '--context', cluster);
    const dns = await this.kubectl(
      cluster,
      ...['get', 'service', '-n', SYSTEM, 'istiocoredns', '-o', 'jsonpath={.spec.clusterIP}'],
    );
    const stubDomains = JSON.stringify({ global: [dns] });
    const metadata = { name: 'kube-dns', namespace: 'kube-system' };
    await this.apply(cluster, JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { stubDomains } }));
    await this.kubectl(cluster, 'label', 'namespace', 'default', 'istio-injection=enabled');
  }

  async #deploy(cluster: Cluster, file: string): Promise<void> {
    const gateway2 = await this.kubectl(
      'cluster2',
      ...['get', 'service', 'istio-ingressgateway', '-n', SYSTEM],
      ...['-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'],
    );
    const yaml = readFileSync(join(root, 'test/faults', file), 'utf8').replaceAll('GATEWAY2', gateway2);
    await this.apply(cluster, yaml);
    await this.kubectl(cluster, 'wait', '--for=condition=Ready', 'pod', '--all', '--timeout=90s');
  }

  /**
   * `local` never leaves cluster1; `remote` goes from gateway to gateway; `chain`, the dear one, which is why it is one in
   * five, through a sidecar and the other cluster's gateway.
   */
  #targets() {
    const base = this.sandbox.gateway('cluster1').href;
    const local = { name: 'local', url: `${base}hello`, mustContain: 'Hello version' };
    const remote = { name: 'remote', url: `${base}ratings/0`, mustContain: 'Reviewer1' };
    const chain = { name: 'chain', url: `${base}reviews/0`, mustContain: 'stars' };
    return [local, remote, chain, local, remote];
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
