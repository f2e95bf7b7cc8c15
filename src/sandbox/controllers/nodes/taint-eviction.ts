// SPDX-License-Identifier: Apache-2.0
// https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/#taint-based-evictions
import { KubeError } from '../../../kube/client.ts';
import { NODES, PODS } from '../../../kube/resources.ts';
import { type Controller, type ControllerContext, createQueue, recorderFor, timestamp } from '../controller.ts';
import { keyOf } from '../informer.ts';
import type { Condition, Node, Pod, Taint } from '../objects.ts';
import { isPodFinished } from '../pod-state.ts';
import { tolerates } from './node-fit.ts';

const NAME = 'taint-eviction-controller';

/** Deletes pods that do not bear a NoExecute taint of their node, or not for so long. Keys are pods. */
export function createTaintEviction(context: ControllerContext): Controller {
  const nodes = context.informers.of<Node>(NODES);
  const pods = context.informers.of<Pod>(PODS);
  const queue = createQueue(context, NAME);
  const events = recorderFor(context, NAME);
  /** Since when a taint without a time is known: kubectl writes none. */
  const known = new Map<string, number>();
  const executing = (node: Node | undefined): Taint[] =>
    (node?.spec?.taints ?? []).filter(({ effect }) => effect === 'NoExecute');
  pods.onChange((_before, after) => {
    if (after?.spec.nodeName && executing(nodes.get(after.spec.nodeName)).length > 0) queue.add(keyOf(after));
  });
  nodes.onChange((before, after) => {
    const { name = '' } = (after ?? before)?.metadata ?? {};
    const now = executing(after);
    const keys = new Set(now.map((taint) => idOf(name, taint)));
    for (const id of known.keys()) if (id.startsWith(`${name}\n`) && !keys.has(id)) known.delete(id);
    for (const id of keys) if (!known.has(id)) known.set(id, context.nowMs());
    if (JSON.stringify(executing(before)) === JSON.stringify(now) || now.length === 0) return;
    for (const pod of pods.all()) if (pod.spec.nodeName === name) queue.add(keyOf(pod));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const pod = pods.byKey(key);
      if (pod?.spec.nodeName === undefined || pod.metadata.deletionTimestamp !== undefined || isPodFinished(pod))
        return;
      const node = pod.spec.nodeName;
      const dueMs = Math.min(
        ...executing(nodes.get(node)).map((taint) => {
          const sinceMs = Date.parse(taint.timeAdded ?? '') || (known.get(idOf(node, taint)) ?? context.nowMs());
          return sinceMs + borneMs(pod, taint);
        }),
      );
      if (dueMs === Number.POSITIVE_INFINITY) return;
      const leftMs = dueMs - context.nowMs();
      if (leftMs > 0) return { afterMs: leftMs };
      const { name = '', namespace, uid } = pod.metadata;
      events.record(pod, 'Normal', 'TaintManagerEviction', `Marking for deletion Pod ${key}`);
      await markDisrupted(context, pod);
      await context.client.delete(PODS, name, namespace, uid ? { uid } : {});
      return;
    },
  };
}

function idOf(node: string, { key, value = '' }: Taint): string {
  return `${node}\n${key}=${value}`;
}

/** How long the pod bears the taint: 0 for one that does not, infinite for one that does for ever. */
function borneMs(pod: Pod, taint: Taint): number {
  const matching = (pod.spec.tolerations ?? []).filter((each) => tolerates(each, taint));
  if (matching.length === 0) return 0;
  const limits = matching.flatMap(({ tolerationSeconds }) => tolerationSeconds ?? []);
  return limits.length > 0 ? Math.max(0, Math.min(...limits)) * 1000 : Number.POSITIVE_INFINITY;
}

async function markDisrupted(context: ControllerContext, pod: Pod): Promise<void> {
  const { name = '', namespace, uid } = pod.metadata;
  const disrupted: Condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'DeletionByTaintManager',
    message: 'Taint manager: deleting due to NoExecute taint',
    lastTransitionTime: timestamp(context.nowMs()),
  };
  const patch = { metadata: { uid }, status: { conditions: [disrupted] } };
  try {
    await context.client.patch(PODS, name, namespace, patch, { subresource: 'status', kind: 'strategic' });
  } catch (error) {
    if (!(error instanceof KubeError && error.code === 404)) throw error;
  }
}
