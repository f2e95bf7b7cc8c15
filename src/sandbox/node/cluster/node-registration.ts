// SPDX-License-Identifier: Apache-2.0
// The Node object and its Lease: that the node is there, what it has, and that it still lives.
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, release, totalmem } from 'node:os';
import { type KubeClient, KubeError } from '../../../kube/client.ts';
import { LEASES, NAMESPACES, NODES } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { pause } from '../pod/pause.ts';

export interface NodeFacts {
  readonly name: string;
  readonly address: string;
  readonly network: string | undefined;
  readonly kubeletPort: number;
  readonly rootless: boolean;
  /** Which limits of pods the machine lets the node enforce: memory, pids, cpu. */
  readonly enforcedLimits: readonly string[];
}

interface NodeObject extends KubeObject {
  status?: { conditions?: { type: string; status: string; lastTransitionTime?: string }[] };
}

/** The API version that this node behaves like. */
const KUBELET_VERSION = 'v1.32.0+isthmus';
const LEASE_NAMESPACE = 'kube-node-lease';
const LEASE_SECONDS = 40;
const RENEW_MS = 10_000;
const RETRY_MS = 500;
/** Between status updates without a change, as the kubelet does. */
const STATUS_MS = 300_000;

/** Creates or updates the Node; resolves once the API server has it, or `signal` aborts. */
export async function registerNode(
  client: KubeClient,
  facts: NodeFacts,
  signal: AbortSignal,
  onError: (error: Error) => void,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await writeNode(client, facts);
      return;
    } catch (error) {
      onError(error as Error);
      await pause(RETRY_MS, signal);
    }
  }
}

/** Renews the Lease every 10 s and the status every 5 min until `signal` aborts. */
export async function keepNodeAlive(
  client: KubeClient,
  facts: NodeFacts,
  signal: AbortSignal,
  onError: (error: Error) => void,
): Promise<void> {
  let statusAt = Date.now() + STATUS_MS;
  let renewedAt = Date.now();
  while (!signal.aborted) {
    try {
      await renewLease(client, facts.name);
      // After so long a silence the node counts as unreachable: only its status says that it is not.
      const wasSilent = Date.now() - renewedAt > (LEASE_SECONDS / 2) * 1000;
      renewedAt = Date.now();
      if (wasSilent || Date.now() >= statusAt) {
        await writeNode(client, facts);
        statusAt = Date.now() + STATUS_MS;
      }
    } catch (error) {
      statusAt = 0;
      onError(error as Error);
    }
    await pause(RENEW_MS, signal);
  }
}

async function writeNode(client: KubeClient, facts: NodeFacts): Promise<void> {
  const labels = nodeLabels(facts);
  let node = await client.get<NodeObject>(NODES, facts.name);
  if (!node) {
    try {
      node = await client.create<NodeObject>(NODES, {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: facts.name, labels },
        spec: {},
        status: nodeStatus(facts, undefined),
      });
    } catch (error) {
      if (!(error instanceof KubeError && error.reason === 'AlreadyExists')) throw error;
    }
  }
  const present = node?.metadata.labels ?? {};
  if (Object.entries(labels).some(([key, value]) => present[key] !== value)) {
    await client.patch(NODES, facts.name, undefined, { metadata: { labels } });
  }
  await client.patch(NODES, facts.name, undefined, { status: nodeStatus(facts, node) }, { subresource: 'status' });
}

function nodeLabels(facts: NodeFacts): Record<string, string> {
  return {
    'kubernetes.io/hostname': facts.name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch() === 'x64' ? 'amd64' : arch(),
    'isthmus.dev/enforced-limits': facts.enforcedLimits.join('.') || 'none',
    ...(facts.rootless && { 'isthmus.dev/rootless': 'true' }),
    ...(facts.network !== undefined && { 'topology.istio.io/network': facts.network }),
  };
}

function nodeStatus(facts: NodeFacts, node: NodeObject | undefined): Record<string, unknown> {
  const time = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  const resources = {
    cpu: String(availableParallelism()),
    memory: `${Math.floor(totalmem() / 1024)}Ki`,
    pods: '250',
    'ephemeral-storage': '10Gi',
  };
  const conditions = [
    ['MemoryPressure', 'False', 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'],
    ['DiskPressure', 'False', 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'],
    ['PIDPressure', 'False', 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'],
    ['Ready', 'True', 'KubeletReady', 'the sandbox’s node runs pods as processes'],
  ].map(([type, status, reason, message]) => {
    const before = node?.status?.conditions?.find((condition) => condition.type === type);
    const lastTransitionTime = before?.status === status ? (before?.lastTransitionTime ?? time) : time;
    return { type, status, reason, message, lastHeartbeatTime: time, lastTransitionTime };
  });
  return {
    addresses: [
      { type: 'InternalIP', address: facts.address },
      { type: 'Hostname', address: facts.name },
    ],
    capacity: resources,
    allocatable: resources,
    conditions,
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort } },
    nodeInfo: {
      kubeletVersion: KUBELET_VERSION,
      kubeProxyVersion: '',
      containerRuntimeVersion: 'isthmus://0.1.0',
      operatingSystem: 'linux',
      architecture: arch() === 'x64' ? 'amd64' : arch(),
      kernelVersion: release(),
      osImage: readOsName(),
      machineID: '',
      systemUUID: '',
      bootID: '',
    },
  };
}

function readOsName(): string {
  try {
    return /^PRETTY_NAME="?([^"\n]*)"?$/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'Linux';
  } catch {
    return 'Linux';
  }
}

async function renewLease(client: KubeClient, name: string): Promise<void> {
  const renewTime = new Date().toISOString().replace('Z', '000Z');
  try {
    await client.patch(LEASES, name, LEASE_NAMESPACE, { spec: { renewTime } });
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
    await createLease(client, name, renewTime);
  }
}

async function createLease(client: KubeClient, name: string, renewTime: string): Promise<void> {
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { name, namespace: LEASE_NAMESPACE },
    spec: { holderIdentity: name, leaseDurationSeconds: LEASE_SECONDS, renewTime },
  };
  try {
    await client.create(LEASES, lease);
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: LEASE_NAMESPACE } };
    await client.create(NAMESPACES, namespace);
    await client.create(LEASES, lease);
  }
}
