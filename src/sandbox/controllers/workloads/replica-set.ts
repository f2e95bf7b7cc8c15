// SPDX-License-Identifier: Apache-2.0
import { isDeepStrictEqual } from 'node:util';
import { matchesLabels } from '../../../kube/label-selector.ts';
import { PODS, REPLICA_SETS } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  enqueueChanged,
  isNamespaceTerminating,
  recorderFor,
  timestamp,
} from '../controller.ts';
import type { Informer } from '../informer.ts';
import type { Condition, Pod, ReplicaSet, ReplicaSetStatus } from '../objects.ts';
import { claimChildren, controllerOf, enqueueOwners } from '../ownership.ts';
import { availableInMs, isPodActive, isPodReady } from '../pod-state.ts';
import { buildPod, createPodWrites, inGrowingBatches, type PodWrites } from '../pod-writes.ts';
import { sortVictims } from './replica-victims.ts';

const NAME = 'replicaset-controller';
/** The most pods created or deleted in one go: the rest follows when their echoes are there. */
const BURST = 500;

interface Scaled {
  /** Why pods could not be created or deleted. */
  failure?: { reason: 'FailedCreate' | 'FailedDelete'; error: Error };
}

/** Keeps as many active pods as the ReplicaSet asks for. Keys are ReplicaSets. */
export function createReplicaSetController(context: ControllerContext): Controller {
  const replicaSets = context.informers.of<ReplicaSet>(REPLICA_SETS);
  const pods = context.informers.of<Pod>(PODS);
  const queue = createQueue(context, NAME, { backoffMs: { first: 20, cap: 5_000 } });
  const writes = createPodWrites(context, pods, recorderFor(context, NAME));
  enqueueChanged(queue, replicaSets);
  enqueueOwners(queue, replicaSets, pods);

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const replicaSet = replicaSets.byKey(key);
      if (replicaSet === undefined) return;
      const owned = await claimChildren(context.client, pods, REPLICA_SETS, replicaSet);
      const active = owned.filter(isPodActive);
      const isDeleting = replicaSet.metadata.deletionTimestamp !== undefined;
      const scaled = isDeleting ? {} : await scale(writes, replicaSet, active);
      const { status, recheckInMs } = observe(pods, replicaSet, owned, scaled, context.nowMs());
      if (!isDeepStrictEqual(status, replicaSet.status)) {
        await replicaSets.echo(await context.client.replaceStatus(REPLICA_SETS, { ...replicaSet, status }));
      }
      if (scaled.failure) throw scaled.failure.error;
      return recheckInMs === undefined ? undefined : { afterMs: recheckInMs };
    },
  };
}

async function scale(writes: PodWrites, replicaSet: ReplicaSet, active: Pod[]): Promise<Scaled> {
  const surplus = active.length - (replicaSet.spec.replicas ?? 1);
  if (surplus < 0) {
    const name = { generateName: `${replicaSet.metadata.name}-` };
    const pod = buildPod(REPLICA_SETS, replicaSet, replicaSet.spec.template, name);
    const wanted = Array<Pod>(Math.min(-surplus, BURST)).fill(pod);
    const error = await inGrowingBatches(wanted, (each) => writes.create(replicaSet, each));
    return error && !isNamespaceTerminating(error) ? { failure: { reason: 'FailedCreate', error } } : {};
  }
  if (surplus === 0) return {};
  const victims = sortVictims(active).slice(0, Math.min(surplus, BURST));
  const failures = await Promise.all(victims.map((pod) => writes.remove(replicaSet, pod)));
  const error = failures.find((failure) => failure !== undefined);
  return error ? { failure: { reason: 'FailedDelete', error } } : {};
}

function observe(
  pods: Informer<Pod>,
  replicaSet: ReplicaSet,
  ownedBefore: Pod[],
  scaled: Scaled,
  nowMs: number,
): { status: ReplicaSetStatus; recheckInMs: number | undefined } {
  const uid = replicaSet.metadata.uid;
  const known = new Set(ownedBefore.map((pod) => pod.metadata.uid));
  // As the cache has it after scaling: what was created or deleted counts at once.
  const owned = pods
    .inNamespace(replicaSet.metadata.namespace)
    .filter((pod) => controllerOf(pod)?.uid === uid || known.has(pod.metadata.uid));
  const active = owned.filter(isPodActive);
  const labels = replicaSet.spec.template.metadata?.labels ?? {};
  const waits = active.map((pod) => availableInMs(pod, replicaSet.spec.minReadySeconds ?? 0, nowMs));
  const pending = waits.filter((wait) => wait !== undefined && wait > 0) as number[];
  const status: ReplicaSetStatus = { replicas: active.length };
  // Zero is left out, as the Go types have it.
  const put = (field: 'fullyLabeledReplicas' | 'readyReplicas' | 'availableReplicas', count: number) => {
    if (count > 0) status[field] = count;
  };
  put('fullyLabeledReplicas', active.filter((pod) => matchesLabels(labels, pod.metadata.labels)).length);
  put('readyReplicas', active.filter(isPodReady).length);
  put('availableReplicas', waits.filter((wait) => wait === 0).length);
  status.terminatingReplicas = owned.filter((pod) => pod.metadata.deletionTimestamp !== undefined).length;
  if (replicaSet.metadata.generation !== undefined) status.observedGeneration = replicaSet.metadata.generation;
  const conditions = failureConditions(replicaSet, scaled, nowMs);
  if (conditions.length > 0) status.conditions = conditions;
  return { status, recheckInMs: pending.length > 0 ? Math.min(...pending) : undefined };
}

function failureConditions(replicaSet: ReplicaSet, scaled: Scaled, nowMs: number): Condition[] {
  const others = (replicaSet.status?.conditions ?? []).filter(({ type }) => type !== 'ReplicaFailure');
  if (!scaled.failure) return others;
  const before = replicaSet.status?.conditions?.find(({ type }) => type === 'ReplicaFailure');
  const { reason, error } = scaled.failure;
  return [
    ...others,
    {
      type: 'ReplicaFailure',
      status: 'True',
      reason,
      message: error.message,
      lastTransitionTime: before?.lastTransitionTime ?? timestamp(nowMs),
    },
  ];
}
