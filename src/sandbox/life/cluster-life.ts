// SPDX-License-Identifier: Apache-2.0
// One cluster while it runs: its components, whether it is ready, and how it is made empty again.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { NODES, SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ensureClusterPki } from '../apiserver/pki.ts';
import type { ClusterLayout, SandboxConfig } from '../layout.ts';
import { DNS_SERVICE_ADDRESS } from '../network/addresses.ts';
import { removePodNamespaces } from '../network/pod-network.ts';
import { componentSpec, keepRunning } from './component-process.ts';
import type { StatusBoard } from './status-board.ts';

const CLUSTER_COMPONENTS = ['apiserver', 'controllers', 'node', 'net'] as const;
const READINESS_INTERVAL_MS = 50;
const READINESS_RECHECK_MS = 5_000;

export class ClusterLife {
  readonly cluster: ClusterLayout;
  readonly #config: SandboxConfig;
  readonly #configFile: string;
  readonly #board: StatusBoard;
  #stopping = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(config: SandboxConfig, configFile: string, cluster: ClusterLayout, board: StatusBoard) {
    this.#config = config;
    this.#configFile = configFile;
    this.cluster = cluster;
    this.#board = board;
  }

  start(): void {
    makeIdentities(this.cluster);
    const { signal } = this.#stopping;
    this.#running = Promise.all([
      ...CLUSTER_COMPONENTS.map((component) =>
        keepRunning(
          componentSpec(this.#config, this.#configFile, component, this.cluster),
          signal,
          (status) => {
            this.#board.component(status, this.cluster);
            if (status.state !== 'running') this.#board.serves(this.cluster, component, false);
          },
          () => this.#board.serves(this.cluster, component, true),
        ),
      ),
      watchReadiness(this.cluster, this.#board, signal),
    ]);
  }

  /** Resolves when every process of it is gone; rejects with what ended them unasked. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  /** Back to an empty cluster: same addresses, same credentials, no objects. Resolves when it answers. */
  async reset(): Promise<void> {
    await this.stop();
    this.#board.answers(this.cluster, { api: false, node: false });
    await this.#forget();
    this.#stopping = new AbortController();
    this.start();
    const { signal } = this.#stopping;
    while (!signal.aborted && !this.#isReady()) await sleep(READINESS_INTERVAL_MS);
  }

  #isReady(): boolean {
    const { api, node, dns } = this.#board.readiness(this.cluster);
    return api && node && dns;
  }

  /** What a killed node has left (mounts, namespaces) goes with the files; its identities stay. */
  async #forget(): Promise<void> {
    const { apiServerDir, nodeDir } = this.cluster;
    await removePodNamespaces(this.cluster);
    for (const point of mountsBelow(nodeDir)) spawnSync('umount', ['-l', point]);
    rmSync(nodeDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    for (const file of readdirSync(apiServerDir).filter((name) => name.startsWith('state.db'))) {
      rmSync(join(apiServerDir, file), { force: true });
    }
  }
}

/** Inner ones first. */
function mountsBelow(dir: string): string[] {
  const points = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((point) => point.startsWith(`${dir}/`));
  return points.reverse();
}

function makeIdentities(cluster: ClusterLayout): void {
  mkdirSync(cluster.apiServerDir, { recursive: true, mode: 0o700 });
  mkdirSync(cluster.nodeDir, { recursive: true, mode: 0o700 });
  ensureClusterPki(cluster.apiServerDir, {
    clusterName: cluster.name,
    server: cluster.server,
    addresses: [cluster.nodeAddress],
    dnsNames: [],
  });
}

/** Asks until the cluster is ready, quickly at first; afterwards now and then, so that the status stays true. */
async function watchReadiness(cluster: ClusterLayout, board: StatusBoard, signal: AbortSignal): Promise<void> {
  const client = new KubeClient(loadKubeconfig(cluster.pki.kubeconfig.admin));
  let hasDnsService = false;
  try {
    while (!signal.aborted) {
      const answer = await askReadiness(client, cluster);
      if (answer.api && !hasDnsService) hasDnsService = await ensureDnsService(client);
      if (!signal.aborted) board.answers(cluster, { api: answer.api && hasDnsService, node: answer.node });
      const pauseMs = board.readiness(cluster).node ? READINESS_RECHECK_MS : READINESS_INTERVAL_MS;
      await sleep(pauseMs, undefined, { signal }).catch(() => {});
    }
  } finally {
    client.close();
  }
}

async function askReadiness(client: KubeClient, cluster: ClusterLayout): Promise<{ api: boolean; node: boolean }> {
  try {
    await client.request('GET', '/readyz', { signal: AbortSignal.timeout(2_000) });
    const node = await client.get(NODES, cluster.nodeName);
    const status = node?.['status'] as { conditions?: { type: string; status: string }[] } | undefined;
    const isNodeReady = status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    return { api: true, node: isNodeReady ?? false };
  } catch {
    return { api: false, node: false };
  }
}

/** The name by which pods and people know the DNS; the `net` component answers at the address itself. */
async function ensureDnsService(client: KubeClient): Promise<boolean> {
  const service: KubeObject = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kube-dns',
      namespace: 'kube-system',
      labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/cluster-service': 'true', 'kubernetes.io/name': 'CoreDNS' },
    },
    spec: {
      clusterIP: DNS_SERVICE_ADDRESS,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 53 },
        { name: 'dns-tcp', port: 53, protocol: 'TCP', targetPort: 53 },
      ],
    },
  };
  try {
    if ((await client.get(SERVICES, 'kube-dns', 'kube-system')) === undefined) await client.create(SERVICES, service);
    return true;
  } catch {
    return false; // The namespace is not there yet, or the server went away: the next round tries again.
  }
}
