// SPDX-License-Identifier: Apache-2.0
// `isthmus sandbox status`: what runs, where it is reached, what it answers right now.
import { existsSync } from 'node:fs';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { SERVICES } from '../../kube/resources.ts';
import { readJson } from '../atomic-file.ts';
import { paths, type SandboxConfig, SandboxError, sandboxDir } from '../layout.ts';
import type { ComponentStatus } from './component-process.ts';
import { livingProcesses, readHostRecord } from './host-record.ts';
import type { ClusterReadiness, SandboxStatus } from './status-file.ts';

/** The machine-readable form (`-o json`); fields are only ever added. */
export interface SandboxReport {
  readonly name: string;
  /** `stopped`: its state is kept on disk, `absent`: there is none, `failed`: it ended without being asked to. */
  readonly state: 'ready' | 'starting' | 'stopping' | 'stopped' | 'failed' | 'absent';
  readonly message?: string;
  readonly stateDir: string;
  readonly version?: string;
  readonly mode?: 'root' | 'rootless';
  readonly startedAt?: string;
  readonly kubeconfig?: string;
  /** The HTTP CONNECT proxy that the kubeconfig names. */
  readonly apiProxy?: string;
  readonly clusters: readonly ClusterReport[];
  readonly components: readonly ComponentStatus[];
}

export interface ClusterReport {
  readonly name: string;
  readonly context: string;
  readonly server: string;
  readonly kubernetesVersion?: string;
  /** Clusters of one network reach one another's pods. */
  readonly network: string;
  readonly podCidr: string;
  readonly ready: ClusterReadiness;
  /** False while `sandbox network disconnect` keeps it off the external network. */
  readonly connected: boolean;
  readonly gateway: {
    /** On this machine. Answers 503 while the cluster has no gateway. */
    readonly url: string;
    /** On the external network: what other clusters dial. */
    readonly address?: string;
  };
  readonly components: readonly ComponentStatus[];
}

const ASK_TIMEOUT_MS = 2_000;

export async function describeSandbox(name: string): Promise<SandboxReport> {
  const stateDir = sandboxDir(name);
  const config = readJson<SandboxConfig>(paths.config(stateDir));
  const record = readHostRecord(stateDir);
  const base = { name, stateDir, clusters: [], components: [] };
  if (!existsSync(stateDir) || config === undefined) return { ...base, state: 'absent' };
  if (livingProcesses(record).length === 0) {
    if (record === undefined) return { ...base, state: 'stopped' };
    const message = record.failure ?? 'its processes are gone: it was killed, or the machine was restarted';
    return { ...base, state: 'failed', message };
  }
  const status = readJson<SandboxStatus>(paths.status(stateDir));
  const kubeconfig = paths.kubeconfig(stateDir);
  const clusters = (status?.clusters ?? []).map(async (cluster, i): Promise<ClusterReport> => {
    const live = cluster.ready.api ? await askCluster(kubeconfig, cluster.name) : {};
    return {
      name: cluster.name,
      context: cluster.name,
      server: cluster.server,
      ...(live.version === undefined ? {} : { kubernetesVersion: live.version }),
      network: cluster.network,
      podCidr: cluster.podCidr,
      ready: cluster.ready,
      connected: cluster.connected,
      gateway: {
        url: gatewayUrl(config, i),
        ...(live.gatewayAddress === undefined ? {} : { address: live.gatewayAddress }),
      },
      components: cluster.components,
    };
  });
  return {
    name,
    state: status?.phase ?? 'starting',
    stateDir,
    version: config.version,
    mode: config.rootless ? 'rootless' : 'root',
    ...(status === undefined ? {} : { startedAt: status.startedAt }),
    kubeconfig,
    apiProxy: `http://127.0.0.1:${config.ports.api}`,
    clusters: await Promise.all(clusters),
    components: status?.components ?? [],
  };
}

/** @throws SandboxError when the sandbox does not run. */
export function demandRunning(name: string): SandboxConfig {
  const stateDir = sandboxDir(name);
  const config = readJson<SandboxConfig>(paths.config(stateDir));
  if (config !== undefined && livingProcesses(readHostRecord(stateDir)).length > 0) return config;
  throw new SandboxError(`The sandbox "${name}" is not running. Start it: isthmus sandbox up --name ${name}`);
}

function gatewayUrl(config: SandboxConfig, clusterOffset: number): string {
  return `http://127.0.0.1:${config.ports.gateways[clusterOffset]}`;
}

/** Asked the way kubectl asks. What does not answer in time is left out: the status is for people in a hurry. */
async function askCluster(kubeconfig: string, context: string): Promise<{ version?: string; gatewayAddress?: string }> {
  const client = new KubeClient(loadKubeconfig(kubeconfig, context));
  const timer = setTimeout(() => client.close(), ASK_TIMEOUT_MS);
  try {
    const [version, gateway] = await Promise.all([
      client.request('GET', '/version') as Promise<{ gitVersion?: string }>,
      client.get(SERVICES, 'istio-ingressgateway', 'istio-system'),
    ]);
    const status = gateway?.['status'] as { loadBalancer?: { ingress?: { ip?: string }[] } } | undefined;
    const gatewayAddress = status?.loadBalancer?.ingress?.[0]?.ip;
    return {
      ...(version.gitVersion === undefined ? {} : { version: version.gitVersion }),
      ...(gatewayAddress === undefined ? {} : { gatewayAddress }),
    };
  } catch {
    return {};
  } finally {
    clearTimeout(timer);
    client.close();
  }
}
