// SPDX-License-Identifier: Apache-2.0
import { KubeError } from '../../../kube/client.ts';
import { NODES, PODS } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, timestamp } from '../controller.ts';
import { keyOf } from '../informer.ts';
import type { Condition, Node, Pod } from '../objects.ts';
import { isPodFinished } from '../pod-state.ts';

const NAME = 'pod-garbage-collector';
/** A node that registers anew after a restart must find its pods alive. */
const QUARANTINE_MS = 40_000;

/** Pods whose node is gone, and deleted pods that never had one, are removed: no kubelet will. Keys are pods. */
export function createPodGarbageCollector(context: ControllerContext, quarantineMs = QUARANTINE_MS): Controller {
  const pods = context.informers.of<Pod>(PODS);
  const nodes = context.informers.of<Node>(NODES);
  const queue = createQueue(context, NAME);
  const isOrphan = (pod: Pod): boolean =>
    Boolean(pod.spec.nodeName) && nodes.get(pod.spec.nodeName ?? '') === undefined;
  const isLost = (pod: Pod): boolean => !pod.spec.nodeName && pod.metadata.deletionTimestamp !== undefined;
  pods.onChange((before, after) => {
    if (after === undefined) return;
    if (isLost(after)) queue.add(keyOf(after));
    else if (before === undefined && isOrphan(after)) queue.addAfter(keyOf(after), quarantineMs);
  });
  nodes.onChange((_before, after) => {
    if (after === undefined) for (const pod of pods.all()) if (isOrphan(pod)) queue.addAfter(keyOf(pod), quarantineMs);
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const pod = pods.byKey(key);
      if (pod === undefined) return;
      const { name = '', namespace, uid } = pod.metadata;
      if (isOrphan(pod)) {
        // The cache may lag behind a node that has just registered: ask.
        if ((await context.client.get(NODES, pod.spec.nodeName ?? '')) !== undefined) return;
        if (!isPodFinished(pod)) await markFailed(context, pod);
      } else if (!isLost(pod)) return;
      await context.client.delete(PODS, name, namespace, { gracePeriodSeconds: 0, ...(uid ? { uid } : {}) });
    },
  };
}

async function markFailed(context: ControllerContext, pod: Pod): Promise<void> {
  const { name = '', namespace } = pod.metadata;
  const disrupted: Condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'DeletionByPodGC',
    message: 'PodGC: node no longer exists',
    lastTransitionTime: timestamp(context.nowMs()),
  };
  const conditions = [...(pod.status?.conditions ?? []).filter(({ type }) => type !== disrupted.type), disrupted];
  const patch = { status: { phase: 'Failed', conditions } };
  try {
    await context.client.patch(PODS, name, namespace, patch, { subresource: 'status' });
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
  }
}
