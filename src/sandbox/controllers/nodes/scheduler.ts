// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../../kube/client.ts';
import {
  NAMESPACES,
  NODES,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  PODS,
  resourcePath,
  STORAGE_CLASSES,
} from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, recorderFor, timestamp } from '../controller.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Namespace, Node, Pod } from '../objects.ts';
import { isPodFinished } from '../pod-state.ts';
import { claimsOf } from '../storage/pod-claims.ts';
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from '../storage/storage-objects.ts';
import { type Misfit, matchesTerms, misfitsOf } from './node-fit.ts';
import { affinityMisfit, type Neighbourhood } from './pod-affinity.ts';

const NAME = 'default-scheduler';

/** Binds each pending pod to the node that fits and has the fewest pods. Keys are pods. */
export function createScheduler(context: ControllerContext): Controller {
  const pods = context.informers.of<Pod>(PODS);
  const nodes = context.informers.of<Node>(NODES);
  const namespaces = context.informers.of<Namespace>(NAMESPACES);
  const claims = context.informers.of<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS);
  const volumes = context.informers.of<PersistentVolume>(PERSISTENT_VOLUMES);
  const classes = context.informers.of<StorageClass>(STORAGE_CLASSES);
  // One at a time: each decision counts the pods that the one before it placed.
  const queue = createQueue(context, NAME, { concurrency: 1, backoffMs: { first: 10, cap: 1_000 } });
  const events = recorderFor(context, NAME, 'events');
  const unplaced = new Set<string>();
  const retryAll = (isConcerned: (pod: Pod) => boolean = () => true): void => {
    for (const key of unplaced) {
      const pod = pods.byKey(key);
      if (pod !== undefined && isConcerned(pod)) queue.add(key);
    }
  };
  pods.onChange((before, after) => {
    const key = keyOf((after ?? before) as Pod);
    if (after !== undefined && isPending(after)) {
      unplaced.add(key);
      queue.add(key);
      return;
    }
    unplaced.delete(key);
    const isOver = after === undefined || isPodFinished(after);
    if (isOver && before?.spec.nodeName && !isPodFinished(before)) retryAll();
    // Somebody came whom others may want to be near.
    if (!before?.spec.nodeName && after?.spec.nodeName) retryAll((pod) => pod.spec.affinity?.podAffinity !== undefined);
  });
  nodes.onChange((before, after) => {
    if (before === undefined || after === undefined || fingerprint(before) !== fingerprint(after)) retryAll();
  });
  claims.onChange((_before, after) => {
    if (after !== undefined) retryAll((pod) => claimsOf(pod).includes(after.metadata.name ?? ''));
  });

  const bind = async (pod: Pod, node: string): Promise<void> => {
    const { name, namespace, uid } = pod.metadata;
    const binding = {
      apiVersion: 'v1',
      kind: 'Binding',
      metadata: { name, namespace, uid },
      target: { apiVersion: 'v1', kind: 'Node', name: node },
    };
    try {
      await context.client.request('POST', resourcePath(PODS, namespace, name, 'binding'), { body: binding });
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return;
      throw error;
    }
    events.record(pod, 'Normal', 'Scheduled', `Successfully assigned ${namespace}/${name} to ${node}`);
    // The answer is a Status without a revision: the next decision must not be made before this one is known.
    await pods.until(keyOf(pod), (seen) => seen?.metadata.uid !== uid || Boolean(seen?.spec.nodeName));
  };

  const refuse = async (pod: Pod, message: string): Promise<void> => {
    const before = pod.status?.conditions?.find(({ type }) => type === 'PodScheduled');
    if (before?.status === 'False' && before.message === message) return;
    events.record(pod, 'Warning', 'FailedScheduling', message);
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime: before?.status === 'False' ? before.lastTransitionTime : timestamp(context.nowMs()),
    };
    const conditions = [...(pod.status?.conditions ?? []).filter(({ type }) => type !== 'PodScheduled'), condition];
    const { name = '', namespace, resourceVersion } = pod.metadata;
    const patch = { metadata: { resourceVersion }, status: { conditions } };
    await pods.echo(await context.client.patch<Pod>(PODS, name, namespace, patch, { subresource: 'status' }));
  };

  return {
    name: NAME,
    queue,
    async reconcile(key): Promise<undefined> {
      const pod = pods.byKey(key);
      if (pod === undefined || !isPending(pod)) return;
      const around: Neighbourhood = {
        nodes: new Map([...nodes.all()].map((node) => [node.metadata.name ?? '', node])),
        placed: [...pods.all()].filter((each) => each.spec.nodeName && !isPodFinished(each)),
        namespaceLabels: (namespace) => namespaces.get(namespace)?.metadata.labels,
      };
      const waiting = claimObstacle(pod, claims, classes);
      if (waiting !== undefined) {
        if (waiting.problem) await refuse(pod, unavailable(around.nodes.size, [waiting.problem], []));
        return;
      }
      const isReachable = (node: Node): boolean => reachesVolumes(pod, node, claims, volumes);
      const { node, message } = selectNode(pod, around, isReachable);
      await (node === undefined ? refuse(pod, message) : bind(pod, node));
      return;
    },
  };
}

/** What of the pod's claims keeps it from every node; without a problem when a volume is being made for it. */
function claimObstacle(
  pod: Pod,
  claims: Informer<PersistentVolumeClaim>,
  classes: Informer<StorageClass>,
): { problem?: string } | undefined {
  for (const name of claimsOf(pod)) {
    const claim = claims.get(name, pod.metadata.namespace);
    const said = `persistentvolumeclaim ${JSON.stringify(name)}`;
    if (claim === undefined) return { problem: `${said} not found` };
    if (claim.metadata.deletionTimestamp) return { problem: `${said} is being deleted` };
    const { phase } = claim.status ?? {};
    if (phase === 'Lost') {
      return { problem: `${said} bound to non-existent persistentvolume ${JSON.stringify(claim.spec.volumeName)}` };
    }
    if (phase === 'Bound') continue;
    if (classes.get(claim.spec.storageClassName ?? '')?.volumeBindingMode === 'WaitForFirstConsumer') return {};
    return { problem: 'pod has unbound immediate PersistentVolumeClaims' };
  }
  return undefined;
}

/** A volume may be tied to the node whose disk it is on. */
function reachesVolumes(
  pod: Pod,
  node: Node,
  claims: Informer<PersistentVolumeClaim>,
  volumes: Informer<PersistentVolume>,
): boolean {
  return claimsOf(pod).every((name) => {
    const volume = volumes.get(claims.get(name, pod.metadata.namespace)?.spec.volumeName ?? '');
    const terms = volume?.spec.nodeAffinity?.required?.nodeSelectorTerms;
    return terms === undefined || matchesTerms(terms, node);
  });
}

/** The node for `pod`, or a message that says for each reason how many nodes it kept out. */
export function selectNode(
  pod: Pod,
  around: Neighbourhood,
  isReachable: (node: Node) => boolean = () => true,
): { node?: string; message: string } {
  const found: Misfit[][] = [];
  let best: { name: string; load: number } | undefined;
  for (const [name, node] of around.nodes) {
    const present = around.placed.filter(({ spec }) => spec.nodeName === name);
    const misfits = misfitsOf(pod, node, present);
    if (misfits.length === 0 && !isReachable(node)) {
      misfits.push({ reason: 'node(s) had volume node affinity conflict', isFinal: true });
    }
    const lonely = misfits.length === 0 ? affinityMisfit(pod, node, around) : undefined;
    if (lonely !== undefined) misfits.push(lonely);
    if (misfits.length > 0) found.push(misfits);
    else if (best === undefined || present.length < best.load) best = { name, load: present.length };
  }
  if (best !== undefined) return { node: best.name, message: '' };
  if (around.nodes.size === 0) return { message: 'no nodes available to schedule pods' };
  const reasons = countEach(found.flat().map(({ reason }) => reason));
  const helpless = found.map((misfits) =>
    misfits.some(({ isFinal }) => isFinal)
      ? 'Preemption is not helpful for scheduling'
      : 'No preemption victims found for incoming pod',
  );
  return { message: unavailable(around.nodes.size, reasons, countEach(helpless)) };
}

function countEach(texts: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].map(([text, count]) => `${count} ${text}`).sort();
}

/** As the real scheduler says it, what preemption could do included: tools look for these words. */
function unavailable(nodeCount: number, reasons: readonly string[], preemption: readonly string[]): string {
  const head = `0/${nodeCount} nodes are available: `;
  const helpless = preemption.length > 0 ? preemption : [`${nodeCount} Preemption is not helpful for scheduling`];
  return `${head}${reasons.join(', ')}. preemption: ${head}${helpless.join(', ')}.`;
}

function isPending(pod: Pod): boolean {
  return (
    !pod.spec.nodeName &&
    pod.metadata.deletionTimestamp === undefined &&
    !isPodFinished(pod) &&
    (pod.spec.schedulerName ?? NAME) === NAME &&
    (pod.spec.schedulingGates ?? []).length === 0
  );
}

/** What of a node the decision depends on; heartbeats leave it alone. */
function fingerprint(node: Node): string {
  const ready = node.status?.conditions?.find(({ type }) => type === 'Ready')?.status;
  return JSON.stringify([ready, node.metadata.labels, node.spec, node.status?.allocatable]);
}
