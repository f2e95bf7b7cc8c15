// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../kube/client.ts';
import { matchesLabels, matchesRequirement } from '../../kube/label-selector.ts';
import { NODES, PODS, resourcePath } from '../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, recorderFor, timestamp } from './controller.ts';
import { keyOf } from './informer.ts';
import type { Node, Pod, Toleration } from './objects.ts';
import { isPodFinished } from './pod-state.ts';

const NAME = 'default-scheduler';

/** Binds each pending pod to the ready node that fits and has the fewest pods. Keys are pods. */
export function createScheduler(context: ControllerContext): Controller {
  const pods = context.informers.of<Pod>(PODS);
  const nodes = context.informers.of<Node>(NODES);
  // One at a time: each decision counts the pods that the one before it placed.
  const queue = createQueue(context, NAME, { concurrency: 1, backoffMs: { first: 10, cap: 1_000 } });
  const events = recorderFor(context, NAME);
  pods.onChange((_before, after) => {
    if (after !== undefined && isPending(after)) queue.add(keyOf(after));
  });
  nodes.onChange((before, after) => {
    if (before !== undefined && after !== undefined && fingerprint(before) === fingerprint(after)) return;
    for (const pod of pods.all()) if (isPending(pod)) queue.add(keyOf(pod));
  });

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
    async reconcile(key) {
      const pod = pods.byKey(key);
      if (pod === undefined || !isPending(pod)) return;
      const load = new Map<string, number>();
      for (const { spec } of pods.all()) if (spec.nodeName) load.set(spec.nodeName, (load.get(spec.nodeName) ?? 0) + 1);
      const { node, message } = selectNode(pod, [...nodes.all()], load);
      if (node === undefined) {
        await refuse(pod, message);
        return;
      }
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
    },
  };
}

/** The node for `pod`, or a message that says for each reason how many nodes it kept out. `load`: pods per node. */
export function selectNode(
  pod: Pod,
  nodes: readonly Node[],
  load: ReadonlyMap<string, number>,
): { node?: string; message: string } {
  const reasons = new Map<string, number>();
  let best: { name: string; load: number } | undefined;
  for (const node of nodes) {
    const name = node.metadata.name ?? '';
    const podCount = load.get(name) ?? 0;
    const reason = whyNot(pod, node, podCount);
    if (reason !== undefined) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    else if (best === undefined || podCount < best.load) best = { name, load: podCount };
  }
  if (best !== undefined) return { node: best.name, message: '' };
  if (nodes.length === 0) return { message: 'no nodes available to schedule pods' };
  const listed = [...reasons].map(([reason, count]) => `${count} ${reason}`).sort();
  return { message: `0/${nodes.length} nodes are available: ${listed.join(', ')}.` };
}

function whyNot(pod: Pod, node: Node, podCount: number): string | undefined {
  const taints = [...(node.spec?.taints ?? [])];
  if (node.spec?.unschedulable) taints.push({ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' });
  for (const taint of taints) {
    if (taint.effect === 'PreferNoSchedule' || pod.spec.tolerations?.some((each) => tolerates(each, taint))) continue;
    if (taint.key === 'node.kubernetes.io/unschedulable') return 'node(s) were unschedulable';
    return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  }
  if (!node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True')) {
    return 'node(s) were not ready';
  }
  if (!matchesLabels(pod.spec.nodeSelector ?? {}, node.metadata.labels) || !matchesAffinity(pod, node)) {
    return "node(s) didn't match Pod's node affinity/selector";
  }
  const capacity = Number(node.status.allocatable?.['pods'] ?? Number.POSITIVE_INFINITY);
  return podCount >= capacity ? 'Too many pods' : undefined;
}

function tolerates(toleration: Toleration, taint: { key: string; value?: string; effect: string }): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === 'Exists') return true;
  return toleration.key === taint.key && (toleration.value ?? '') === (taint.value ?? '');
}

function matchesAffinity(pod: Pod, node: Node): boolean {
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  if (required === undefined) return true;
  // The terms are alternatives; what stands in one term must all hold.
  return (required.nodeSelectorTerms ?? []).some(
    ({ matchExpressions = [], matchFields = [] }) =>
      matchExpressions.length + matchFields.length > 0 &&
      matchExpressions.every((each) => matchesRequirement(each, node.metadata.labels ?? {})) &&
      matchFields.every((each) => matchesRequirement(each, { 'metadata.name': node.metadata.name ?? '' })),
  );
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
