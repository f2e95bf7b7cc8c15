// SPDX-License-Identifier: Apache-2.0
// The sandbox's first real process: builds the network, makes the clusters' identities, starts every component and
// keeps it running, and says on the host what it sees. It ends when the host lets go of its lifeline.
import { mkdirSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { NODES, SERVICES } from '../../kube/resources.ts';
import type { KubeObject } from '../../kube/types.ts';
import { ensureClusterPki } from '../apiserver/pki.ts';
import { writeAtomically } from '../atomic-file.ts';
import { type ClusterLayout, clusterLayouts, findCluster, paths, type SandboxConfig } from '../layout.ts';
import { DNS_SERVICE_ADDRESS } from '../network/addresses.ts';
import { cutOff, rejoin } from '../network/cut.ts';
import { buildNetwork } from '../network/host-network.ts';
import { type ComponentSpec, type ComponentStatus, keepRunning } from './component-process.ts';
import { type Order, takeOrders } from './control.ts';
import { renderKubeconfig } from './merged-kubeconfig.ts';
import { type ClusterReadiness, isReady, type SandboxStatus } from './status-file.ts';

/** The read end of a pipe whose other end the host's process holds: when that closes, the sandbox has to go. */
const LIFELINE_FD = 3;
const CLUSTER_COMPONENTS = ['apiserver', 'controllers', 'node', 'net'] as const;
const READINESS_INTERVAL_MS = 50;
const READINESS_RECHECK_MS = 2_000;

export async function runSupervisor(config: SandboxConfig, configFile: string, signal: AbortSignal): Promise<void> {
  const stopping = new AbortController();
  const stop = () => stopping.abort();
  signal.addEventListener('abort', stop, { once: true });
  const lifeline = new Socket({ fd: LIFELINE_FD, readable: true, writable: false });
  lifeline.on('close', stop).on('error', stop).resume();

  // Sockets are named relatively: see `sockets`.
  process.chdir(config.stateDir);
  const clusters = clusterLayouts(config);
  const board = new StatusBoard(config, clusters);
  mkdirSync(paths.logs(config.stateDir), { recursive: true, mode: 0o700 });
  await buildNetwork(clusters);
  for (const cluster of clusters) makeIdentities(cluster);
  writeAtomically(paths.kubeconfig(config.stateDir), renderKubeconfig(clusters, config.ports.api));

  const running = [
    keepRunning(componentSpec(config, configFile, 'portal'), stopping.signal, (status) => board.component(status)),
    ...clusters.flatMap((cluster) =>
      CLUSTER_COMPONENTS.map((component) =>
        keepRunning(
          componentSpec(config, configFile, component, cluster),
          stopping.signal,
          (status) => {
            board.component(status, cluster);
            if (status.state !== 'running') board.serves(cluster, component, false);
          },
          () => board.serves(cluster, component, true),
        ),
      ),
    ),
    ...clusters.map((cluster) => watchReadiness(cluster, board, stopping.signal)),
  ];
  stopping.signal.addEventListener('abort', () => board.stopping());
  try {
    await takeOrders((order) => obey(order, clusters, board), stopping.signal);
    await Promise.all(running);
  } finally {
    stop();
    lifeline.destroy();
  }
}

async function obey(order: Order, clusters: readonly ClusterLayout[], board: StatusBoard): Promise<void> {
  const cluster = findCluster(clusters, order.cluster);
  await (order.connected ? rejoin : cutOff)(cluster);
  board.connected(cluster, order.connected);
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

function componentSpec(
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

/** The status file, always complete. */
class StatusBoard {
  readonly #file: string;
  readonly #startedAt = new Date().toISOString();
  readonly #clusters: readonly ClusterLayout[];
  readonly #components = new Map<string, { status: ComponentStatus; cluster: ClusterLayout | undefined }>();
  readonly #answers = new Map<ClusterLayout, Pick<ClusterReadiness, 'api' | 'node'>>();
  /** `cluster1 node`: said that it serves, in this life of its process. */
  readonly #serving = new Set<string>();
  readonly #cutOff = new Set<ClusterLayout>();
  #readyAt: string | undefined;
  #isStopping = false;
  #written = '';

  constructor(config: SandboxConfig, clusters: readonly ClusterLayout[]) {
    this.#file = paths.status(config.stateDir);
    this.#clusters = clusters;
    this.#write();
  }

  component(status: ComponentStatus, cluster?: ClusterLayout): void {
    this.#components.set(status.name, { status, cluster });
    this.#write();
  }

  serves(cluster: ClusterLayout, component: string, isServing: boolean): void {
    if (isServing) this.#serving.add(`${cluster.name} ${component}`);
    else this.#serving.delete(`${cluster.name} ${component}`);
    this.#write();
  }

  /** What the API server says. */
  answers(cluster: ClusterLayout, answers: Pick<ClusterReadiness, 'api' | 'node'>): void {
    this.#answers.set(cluster, answers);
    this.#write();
  }

  /** A resumed cluster's Node object still says Ready from its former life: the process must have said so, too. */
  readiness(cluster: ClusterLayout): ClusterReadiness {
    const { api, node } = this.#answers.get(cluster) ?? { api: false, node: false };
    const serves = (component: string) => this.#serving.has(`${cluster.name} ${component}`);
    return { api, node: node && serves('node'), dns: serves('net') };
  }

  connected(cluster: ClusterLayout, isConnected: boolean): void {
    if (isConnected) this.#cutOff.delete(cluster);
    else this.#cutOff.add(cluster);
    this.#write();
  }

  stopping(): void {
    this.#isStopping = true;
    this.#write();
  }

  #write(): void {
    const componentsOf = (wanted: ClusterLayout | undefined) =>
      [...this.#components.values()].filter(({ cluster }) => cluster === wanted).map(({ status }) => status);
    const status: SandboxStatus = {
      phase: 'starting',
      startedAt: this.#startedAt,
      clusters: this.#clusters.map((cluster) => ({
        name: cluster.name,
        server: cluster.server,
        network: cluster.network,
        podCidr: cluster.podCidr,
        ready: this.readiness(cluster),
        connected: !this.#cutOff.has(cluster),
        components: componentsOf(cluster),
      })),
      components: componentsOf(undefined),
    };
    if (isReady(status)) this.#readyAt ??= new Date().toISOString();
    const phase = this.#isStopping ? 'stopping' : isReady(status) ? 'ready' : 'starting';
    const whole: SandboxStatus = { ...status, phase, ...(this.#readyAt ? { readyAt: this.#readyAt } : {}) };
    const text = `${JSON.stringify(whole, undefined, 2)}\n`;
    if (text === this.#written) return;
    this.#written = text;
    writeAtomically(this.#file, text);
  }
}
