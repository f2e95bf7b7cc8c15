// SPDX-License-Identifier: Apache-2.0
// Whoever is measured, one at a time at one address: ours, istiod, and the floors.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { root } from '../../test/fixture/sandbox.ts';
import { cpuSeconds } from './meter.ts';

const [PORT, ADMIN_PORT, KUBE_PORT, ISTIOD_HTTP_PORT, ISTIOD_MONITORING_PORT] = [15310, 15314, 16443, 8480, 15315];
export const ADDRESS = `127.0.0.1:${PORT}`;

export interface Server {
  readonly pid: number;
  /** From the start of its process until it was ready; undefined for a floor. */
  readonly start: { readonly wallSeconds: number; readonly cpuSeconds: number } | undefined;
  stop(): Promise<void>;
}

export class Servers {
  readonly scratch = mkdtempSync(join(tmpdir(), 'isthmus-bench-plane-'));
  readonly mesh = join(this.scratch, 'mesh');
  readonly #running: ChildProcess[] = [];

  /** Isthmus over the mesh's files, by the command that users run (which becomes the server: one process). */
  async isthmus(nodeOptions = ''): Promise<Server> {
    const config = ['--config-dir', join(this.mesh, 'config'), '--grpc-addr', ADDRESS];
    const args = ['serve', ...config, '--admin-port', String(ADMIN_PORT), '--log-level', 'warn'];
    const child = this.#start(join(root, 'isthmus'), args, { ...process.env, NODE_OPTIONS: nodeOptions });
    return this.#server(child, `http://127.0.0.1:${ADMIN_PORT}/ready`);
  }

  /** Of a pilot-discovery; its objects come from a stub of the Kubernetes API, as the load tool's README runs it. */
  async istiod(bin: string, xdsload: string): Promise<Server> {
    const kubeconfig = join(this.scratch, 'kubeconfig');
    const kubeAddress = `127.0.0.1:${KUBE_PORT}`;
    const kube = this.#start(xdsload, ['kube', '-dir', this.mesh, '-addr', kubeAddress, '-kubeconfig', kubeconfig]);
    await sleep(1500);
    const meshConfig = join(this.scratch, 'mesh.yaml');
    writeFileSync(meshConfig, 'trustDomain: cluster.local\n');
    const files = ['--meshConfig', meshConfig, '--networksConfig', join(this.scratch, 'none.yaml')];
    const addresses = [
      ...['--grpcAddr', ADDRESS, '--httpAddr', `127.0.0.1:${ISTIOD_HTTP_PORT}`],
      ...['--monitoringAddr', `127.0.0.1:${ISTIOD_MONITORING_PORT}`, '--httpsAddr', '', '--secureGRPCAddr', ''],
    ];
    const registries = ['--kubeconfig', kubeconfig, '--registries', 'Kubernetes'];
    const child = this.#start(bin, ['discovery', ...registries, ...files, ...addresses], {
      ...process.env,
      ENABLE_CA_SERVER: 'false',
      XDS_AUTH: 'false',
      ENABLE_LEADER_ELECTION: 'false',
      PILOT_CERT_PROVIDER: 'none',
      PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION: 'false',
      POD_NAME: 'istiod-0',
      POD_NAMESPACE: 'istio-system',
      INJECTION_WEBHOOK_CONFIG_NAME: '',
      VALIDATION_WEBHOOK_CONFIG_NAME: '',
      PILOT_ENABLE_METADATA_EXCHANGE: 'false',
      PILOT_ENABLE_ALPN_FILTER: 'false',
    });
    const server = await this.#server(child, `http://127.0.0.1:${ISTIOD_HTTP_PORT}/ready`);
    const stop = async (): Promise<void> => {
      await server.stop();
      await this.#stop(kube);
    };
    return { ...server, stop };
  }

  /** A script that takes a recording, the mesh's folder and a port, and says a line when it serves. */
  async floor(...args: string[]): Promise<Server> {
    const child = this.#start(process.execPath, [...args, this.mesh, String(PORT)]);
    await sleep(2000);
    return { pid: child.pid!, start: undefined, stop: () => this.#stop(child) };
  }

  /** Ends all that still runs, and removes what was written. */
  close(): void {
    for (const child of this.#running) if (child.exitCode === null) child.kill('SIGKILL');
    rmSync(this.scratch, { recursive: true, force: true });
  }

  #start(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
    const child = spawn(command, args, { stdio: 'ignore', env });
    this.#running.push(child);
    return child;
  }

  async #server(child: ChildProcess, readyUrl: string): Promise<Server> {
    const startedAt = performance.now();
    await untilReady(readyUrl, child);
    const start = { wallSeconds: (performance.now() - startedAt) / 1000, cpuSeconds: cpuSeconds(child.pid!) };
    return { pid: child.pid!, start, stop: () => this.#stop(child) };
  }

  async #stop(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null) return;
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    child.kill('SIGINT');
    await Promise.race([exited, sleep(10_000).then(() => child.kill('SIGKILL'))]);
  }
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  for (const deadline = performance.now() + 120_000; performance.now() < deadline; await sleep(20)) {
    if (child.exitCode !== null) throw new Error(`${child.spawnfile} ended with ${child.exitCode} before it was ready`);
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok === true) return;
  }
  throw new Error(`${url} was not ready within two minutes`);
}
