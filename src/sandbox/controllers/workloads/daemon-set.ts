// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { DAEMON_SETS, NODES, PODS } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  isNamespaceTerminating,
  recorderFor,
} from '../controller.ts';
import { keyOf } from '../informer.ts';
import type { Node, Pod } from '../objects.ts';
import { claimChildren, controllerOf, enqueueOwners } from '../ownership.ts';
import { availableInMs, isPodFinished, isPodReady } from '../pod-state.ts';
import { buildPod, createPodWrites, inGrowingBatches } from '../pod-writes.ts';
import { daemonSpec, groupByNode, nodeOf, planDaemons, revisionOf, standingOf } from './daemon-plan.ts';
import { hashOf, REVISION_LABEL, Revisions } from './revisions.ts';
import type { DaemonSet, DaemonSetStatus } from './workload-objects.ts';

const NAME = 'daemonset-controller';

/** One pod on every node that the template may run on. Keys are DaemonSets. */
export function createDaemonSetController(context: ControllerContext): Controller {
  const sets = context.informers.of<DaemonSet>(DAEMON_SETS);
  const pods = context.informers.of<Pod>(PODS);
  const nodes = context.informers.of<Node>(NODES);
  const queue = createQueue(context, NAME, { backoffMs: { first: 20, cap: 5_000 } });
  const events = recorderFor(context, NAME);
  const writes = createPodWrites(context, pods, events);
  const revisions = new Revisions(context, DAEMON_SETS);
  enqueueChanged(queue, sets);
  enqueueOwners(queue, sets, pods);
  nodes.onChange((before, after) => {
    for (const set of sets.all()) {
      const [was, is] = [before, after].map((node) => node && standingOf(set, node));
      if (!isDeepStrictEqual(was, is)) queue.add(keyOf(set));
    }
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const set = sets.byKey(key);
      if (set === undefined || set.metadata.deletionTimestamp !== undefined) return;
      const history = await revisions.sync(set);
      const hash = hashOf(history.update);
      const own = await claimChildren(context.client, pods, DAEMON_SETS, set);
      const plan = planDaemons(set, [...nodes.all()], own, hash, context.nowMs());
      for (const pod of plan.remove.filter(isPodFinished)) {
        const { phase = '' } = pod.status ?? {};
        const message = `Found ${phase.toLowerCase()} daemon pod ${keyOf(pod)} on node ${nodeOf(pod)}, will try to kill it`;
        events.record(set, phase === 'Failed' ? 'Warning' : 'Normal', `${phase}DaemonPod`, message);
      }
      const wanted = plan.create.map((node) => {
        const template = { ...set.spec.template, spec: daemonSpec(set, node) };
        const labels = { [REVISION_LABEL]: hash };
        return buildPod(DAEMON_SETS, set, template, { generateName: `${set.metadata.name}-` }, { labels });
      });
      const removals = await Promise.all(plan.remove.map((pod) => writes.remove(set, pod)));
      const failure =
        removals.find((error) => error !== undefined) ??
        (await inGrowingBatches(wanted, (pod) => writes.create(set, pod)));
      const mine = pods
        .inNamespace(set.metadata.namespace)
        .filter((pod) => controllerOf(pod)?.uid === set.metadata.uid);
      const status = buildStatus(set, [...nodes.all()], mine, hash, context.nowMs());
      if (history.collisionCount) status.collisionCount = history.collisionCount;
      if (!isDeepStrictEqual(status, set.status)) {
        await sets.echo(await context.client.replaceStatus(DAEMON_SETS, { ...set, status }));
      }
      const used = new Set(mine.map(revisionOf));
      const inUse = history.all.filter((each) => each === history.update || used.has(hashOf(each)));
      await revisions.truncate(set, history.all, new Set(inUse.map(({ metadata }) => metadata.name ?? '')));
      if (failure && !isNamespaceTerminating(failure)) throw failure;
      return plan.recheckInMs === undefined ? undefined : { afterMs: plan.recheckInMs };
    },
  };
}

/** Of several pods on one node the oldest counts. */
function buildStatus(
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  nowMs: number,
): DaemonSetStatus {
  const byNode = groupByNode(pods);
  const counts = { desired: 0, current: 0, misscheduled: 0, ready: 0, updated: 0, available: 0 };
  for (const node of nodes) {
    const [pod] = byNode.get(node.metadata.name ?? '') ?? [];
    if (!standingOf(set, node).wanted) {
      if (pod !== undefined) counts.misscheduled++;
      continue;
    }
    counts.desired++;
    if (pod === undefined) continue;
    counts.current++;
    if (revisionOf(pod) === hash) counts.updated++;
    if (!isPodReady(pod)) continue;
    counts.ready++;
    if (availableInMs(pod, set.spec.minReadySeconds ?? 0, nowMs) === 0) counts.available++;
  }
  const { generation } = set.metadata;
  const unavailable = counts.desired - counts.available;
  return {
    currentNumberScheduled: counts.current,
    numberMisscheduled: counts.misscheduled,
    desiredNumberScheduled: counts.desired,
    numberReady: counts.ready,
    ...(generation !== undefined ? { observedGeneration: generation } : {}),
    // Zero is left out, as the Go types have it.
    ...(counts.updated > 0 ? { updatedNumberScheduled: counts.updated } : {}),
    ...(counts.available > 0 ? { numberAvailable: counts.available } : {}),
    ...(unavailable > 0 ? { numberUnavailable: unavailable } : {}),
  };
}
