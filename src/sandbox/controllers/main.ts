// SPDX-License-Identifier: Apache-2.0
import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { KubeClient, KubeError } from '../../kube/client.ts';
import { loadKubeconfig } from '../../kube/config.ts';
import type { ResourceType } from '../../kube/types.ts';
import { logOutput } from '../../process/log-output.ts';
import type { Controller, ControllerContext, Log } from './controller.ts';
import { createEventExpiry } from './garbage/event-expiry.ts';
import { createGarbageCollector } from './garbage/garbage-collector.ts';
import { ObjectGraph } from './garbage/object-graph.ts';
import { createPodGarbageCollector } from './garbage/pod-gc.ts';
import { InformerSet } from './informer.ts';
import { createCronJobController } from './jobs/cron-job.ts';
import { createJobController, createJobOrphanController } from './jobs/job.ts';
import { createNamespaceController } from './namespaces/namespace.ts';
import { createRootCaPublisher } from './namespaces/root-ca-publisher.ts';
import { createServiceAccountController } from './namespaces/service-account.ts';
import { createNodeLifecycle } from './nodes/node-lifecycle.ts';
import { createScheduler } from './nodes/scheduler.ts';
import { createTaintEviction } from './nodes/taint-eviction.ts';
import { createEndpointSliceController } from './services/endpoint-slice.ts';
import { createEndpointSliceMirroring } from './services/endpoint-slice-mirroring.ts';
import { createEndpointsController } from './services/endpoints.ts';
import { createLoadBalancerController } from './services/load-balancer.ts';
import { createEphemeralVolumeController } from './storage/ephemeral-volume.ts';
import { createPersistentVolumeController } from './storage/persistent-volume.ts';
import { createStorageProtection } from './storage/storage-protection.ts';
import { createDaemonSetController } from './workloads/daemon-set.ts';
import { createDeploymentController } from './workloads/deployment.ts';
import { createDisruptionController } from './workloads/disruption.ts';
import { createReplicaSetController } from './workloads/replica-set.ts';
import { createStatefulSetController } from './workloads/stateful-set.ts';

export interface ControllersOptions {
  /** Path of a kubeconfig. */
  readonly kubeconfig: string;
  /** What Services of type LoadBalancer get their addresses from, in this order. */
  readonly loadBalancerAddresses: readonly string[];
  readonly clusterName: string;
  /** The CA that pods verify the API server with. */
  readonly caPemPath: string;
  /** Names of controllers that shall not run: something else does their work, or nothing shall. Default: all run. */
  readonly without?: readonly string[];
  /** The folder that is the node's disk, for the directories of persistent volumes. */
  readonly diskDir: string;
  /** Default: JSON lines on stdout. */
  readonly log?: Log;
}

/**
 * Runs all controllers and the scheduler of one cluster until `signal` aborts, then resolves. An API server that is
 * not there yet, or goes away, is waited for.
 * @throws Error when the kubeconfig or the CA cannot be read
 */
export async function runControllers(options: ControllersOptions, signal: AbortSignal): Promise<void> {
  const client = new KubeClient({ ...loadKubeconfig(options.kubeconfig), userAgent: USER_AGENT });
  const log = options.log ?? pino({ name: 'controllers', base: { cluster: options.clusterName } }, logOutput());
  const context: ControllerContext = {
    client,
    informers: new InformerSet(),
    log,
    nowMs: Date.now,
    random: Math.random,
  };
  const graph = new ObjectGraph(context);
  const controllers = createControllers(context, graph, options, readFileSync(options.caPemPath, 'utf8'));
  const report = reportOnce(log);
  const { synced, ended } = context.informers.run(client, signal, report);
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  try {
    await Promise.race([synced, ended]);
    if (!signal.aborted) await graph.run(signal);
    // Only now: a controller that acts on half a cache deletes what it cannot see.
    if (!signal.aborted) for (const { queue, reconcile } of controllers) queue.start(reconcile, signal);
    log.info({ controllers: controllers.map(({ name }) => name) }, 'running');
    if (!signal.aborted) await Promise.race([aborted, ended]);
    await ended;
  } finally {
    client.close();
  }
}

/** Managed fields name the controllers as in other clusters. */
const USER_AGENT = 'kube-controller-manager/isthmus';
const SILENCE_MS = 30_000;

/** An outage fails every watch, many times: it is said once, and again when it lasts. A refusal is said per resource. */
function reportOnce(log: Log): (type: ResourceType, error: Error) => void {
  const saidAtMs = new Map<string, number>();
  return ({ resource }, error) => {
    const subject = error instanceof KubeError ? resource : '';
    if (performance.now() - (saidAtMs.get(subject) ?? Number.NEGATIVE_INFINITY) < SILENCE_MS) return;
    saidAtMs.set(subject, performance.now());
    log.warn({ resource, error: error.message }, 'watch failed, will retry');
  };
}

/** In no order that matters: they meet only in the API. */
function createControllers(
  context: ControllerContext,
  graph: ObjectGraph,
  { loadBalancerAddresses, diskDir, without = [] }: ControllersOptions,
  caPem: string,
): Controller[] {
  const all = [
    createNamespaceController(context, graph),
    createServiceAccountController(context),
    createRootCaPublisher(context, caPem),
    createDeploymentController(context),
    createReplicaSetController(context),
    createStatefulSetController(context),
    createDaemonSetController(context),
    createJobController(context),
    createJobOrphanController(context),
    createCronJobController(context),
    createPersistentVolumeController(context, diskDir),
    createStorageProtection(context),
    createEphemeralVolumeController(context),
    createDisruptionController(context),
    createNodeLifecycle(context),
    createTaintEviction(context),
    createScheduler(context),
    createEndpointsController(context),
    createEndpointSliceController(context),
    createEndpointSliceMirroring(context),
    createLoadBalancerController(context, loadBalancerAddresses),
    createGarbageCollector(context, graph),
    createPodGarbageCollector(context),
    createEventExpiry(context),
  ];
  return all.filter(({ name }) => !without.includes(name));
}
