// SPDX-License-Identifier: Apache-2.0
// The sandbox's node: runs the pods that are bound to it and serves what a kubelet serves.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { KubeClient } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import { logOutput } from '../../process/log-output.ts';
import type { PodNetwork } from '../network/pod-network.ts';
import { ClusterObjects } from './cluster/cluster-objects.ts';
import { freeBytes, guardDisk } from './cluster/disk-guard.ts';
import { EventRecorder } from './cluster/event-recorder.ts';
import { keepNodeAlive, registerNode } from './cluster/node-registration.ts';
import { PodWorkers } from './cluster/pod-workers.ts';
import { ContainerRuntime } from './container/container-runtime.ts';
import { CONTROLLERS } from './container/control-group-places.ts';
import type { ToolPaths } from './container/toolbox.ts';
import { type KubeletServerOptions, serveKubelet } from './kubelet/kubelet-server.ts';
import { StatsReporter } from './kubelet/stats-summary.ts';
import type { ImageLookup } from './pod/container-loop.ts';

export interface NodeOptions {
  /** Path of a kubeconfig whose user is system:node:NAME. */
  readonly kubeconfig: string;
  readonly nodeName: string;
  /** Where pods' hostIP points and the kubelet's port is reached. */
  readonly nodeAddress: string;
  /** Becomes the node's label topology.istio.io/network: pods of one network reach one another without a gateway. */
  readonly network?: string | undefined;
  /** 0700; survives restarts. */
  readonly stateDir: string;
  /** What persistent volumes are directories of. */
  readonly diskDir: string;
  /** The cluster DNS service. */
  readonly dnsAddress: string;
  readonly clusterDomain: string;
  readonly kubelet: KubeletServerOptions;
  readonly rootless: boolean;
  readonly toolchain: ToolPaths;
  readonly pods: PodNetwork;
  /** Asked at each start of a container. */
  readonly resolveImage: ImageLookup;
  readonly log?: Logger;
  /** Called when the node is registered, has taken up its pods and serves. */
  readonly ready?: () => void;
}

/**
 * Runs until `signal` aborts; then every container is dead. Containers that an earlier process of this state directory
 * left are killed at the start, and pods that the API server still binds to this node are started again.
 * @throws Error when the process may not mount or unshare, or the kubelet's port is taken
 */
export async function runNode(options: NodeOptions, signal: AbortSignal): Promise<void> {
  const log = options.log ?? pino({ base: { component: 'node', node: options.nodeName } }, logOutput());
  const onError = (error: Error) => {
    if (!signal.aborted) log.warn({ error: error.message }, 'request failed, will be tried again');
  };
  // Pods' users must be able to pass the folders that are made for them; what is secret has a mode of its own.
  process.umask(0o022);
  const podsDir = join(options.stateDir, 'pods');
  mkdirSync(podsDir, { recursive: true, mode: 0o700 });
  const runtime = new ContainerRuntime({
    stateDir: options.stateDir,
    rootless: options.rootless,
    tools: options.toolchain,
  });
  const client = new KubeClient(loadKubeconfig(options.kubeconfig));
  try {
    const events = new EventRecorder(client, options.nodeName, onError);
    const workers = new PodWorkers({
      client,
      nodeName: options.nodeName,
      network: options.pods,
      signal,
      onError,
      dependencies: {
        runtime,
        objects: new ClusterObjects(client, signal, onError),
        resolveImage: options.resolveImage,
        nodeAddress: options.nodeAddress,
        dns: { address: options.dnsAddress, clusterDomain: options.clusterDomain },
        podsDir,
        nodeDisk: options.diskDir,
        record: (pod, event) => {
          const name = `${pod.metadata.namespace}/${pod.metadata.name}`;
          log.info({ pod: name, reason: event.reason }, event.message);
          events.record(pod, event);
        },
      },
    });
    const stats = new StatsReporter(options.nodeName, () => workers.list());
    const closeServer = await serveKubelet(options.kubelet, workers, runtime, stats, log);
    try {
      const facts = {
        name: options.nodeName,
        address: options.nodeAddress,
        network: options.network,
        kubeletPort: options.kubelet.port,
        rootless: options.rootless,
        enforcedLimits: runtime.enforcedLimits,
      };
      await registerNode(client, facts, signal, onError);
      announce(events, runtime.enforcedLimits);
      log.info({ rootless: options.rootless }, 'registered');
      await Promise.all([
        keepNodeAlive(client, facts, signal, onError),
        guardDisk(
          () => freeBytes(podsDir),
          () => workers.list(),
          signal,
        ),
        workers.run(() => options.ready?.()),
      ]);
    } finally {
      await closeServer();
      await workers.abandon();
    }
  } finally {
    await runtime.close();
    client.close();
  }
}

/** What `kubectl describe node` shows. */
function announce(events: EventRecorder, enforcedLimits: readonly string[]): void {
  events.recordOfNode({ type: 'Normal', reason: 'Starting', message: 'Starting kubelet.' });
  const missing = CONTROLLERS.filter((name) => !enforcedLimits.includes(name));
  if (missing.length === 0) return;
  const message = `This machine offers no control groups to the sandbox for ${missing.join(', ')}: such limits of pods are not enforced`;
  events.recordOfNode({ type: 'Warning', reason: 'LimitsNotEnforced', message });
}
