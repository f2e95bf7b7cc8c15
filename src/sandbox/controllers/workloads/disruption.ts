// SPDX-License-Identifier: Apache-2.0
// https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-budgets
import { isDeepStrictEqual } from 'node:util';
import { type LabelSelector, matchesSelector } from '../../../kube/label-selector.ts';
import { DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, STATEFUL_SETS } from '../../../kube/resources.ts';
import type { KubeObject } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, createQueue, enqueueChanged, timestamp } from '../controller.ts';
import { type Informer, keyOf } from '../informer.ts';
import type { Condition, Deployment, Pod, ReplicaSet } from '../objects.ts';
import { controllerOf } from '../ownership.ts';
import { isPodReady } from '../pod-state.ts';
import { resolveCount } from './rollout-plan.ts';
import type { StatefulSet } from './workload-objects.ts';

const NAME = 'disruption-controller';
/** An eviction that was allowed and did not delete the pod in this time did not happen. */
const EVICTION_MS = 120_000;

interface Budget extends KubeObject {
  spec?: { selector?: LabelSelector; minAvailable?: number | string; maxUnavailable?: number | string };
  status?: BudgetStatus;
}

interface BudgetStatus {
  observedGeneration?: number;
  /** Evictions that the API server allowed: name of the pod -> when. */
  disruptedPods?: Record<string, string>;
  disruptionsAllowed: number;
  currentHealthy: number;
  desiredHealthy: number;
  expectedPods: number;
  conditions?: (Condition & { observedGeneration?: number })[];
}

/** Keeps count of how many pods of each budget may be evicted; the API server spends it. Keys are budgets. */
export function createDisruptionController(context: ControllerContext): Controller {
  const budgets = context.informers.of<Budget>(POD_DISRUPTION_BUDGETS);
  const pods = context.informers.of<Pod>(PODS);
  const scales = new Scales(context);
  const queue = createQueue(context, NAME);
  enqueueChanged(queue, budgets);
  pods.onChange((before, after) => {
    for (const budget of budgets.inNamespace((after ?? before)?.metadata.namespace)) {
      const isConcerned = [before, after].some(
        (pod) => pod && matchesSelector(budget.spec?.selector, pod.metadata.labels),
      );
      if (isConcerned) queue.add(keyOf(budget));
    }
  });
  scales.onChange((namespace) => {
    for (const budget of budgets.inNamespace(namespace)) queue.add(keyOf(budget));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const budget = budgets.byKey(key);
      if (budget === undefined || budget.metadata.deletionTimestamp !== undefined) return;
      const covered = pods
        .inNamespace(budget.metadata.namespace)
        .filter((pod) => matchesSelector(budget.spec?.selector, pod.metadata.labels));
      const { status, recheckInMs } = buildStatus(budget, covered, scales.sumOf(covered), context.nowMs());
      if (!isDeepStrictEqual(status, budget.status)) {
        await budgets.echo(await context.client.replaceStatus(POD_DISRUPTION_BUDGETS, { ...budget, status }));
      }
      return recheckInMs === undefined ? undefined : { afterMs: recheckInMs };
    },
  };
}

/** How many pods the owners of some pods want together. */
class Scales {
  readonly #deployments: Informer<Deployment>;
  readonly #replicaSets: Informer<ReplicaSet>;
  readonly #statefulSets: Informer<StatefulSet>;

  constructor({ informers }: ControllerContext) {
    this.#deployments = informers.of(DEPLOYMENTS);
    this.#replicaSets = informers.of(REPLICA_SETS);
    this.#statefulSets = informers.of(STATEFUL_SETS);
  }

  onChange(listener: (namespace: string | undefined) => void): void {
    const listen = (
      before?: ReplicaSet | Deployment | StatefulSet,
      after?: ReplicaSet | Deployment | StatefulSet,
    ): void => {
      if (before?.spec.replicas !== after?.spec.replicas) listener((after ?? before)?.metadata.namespace);
    };
    this.#deployments.onChange(listen);
    this.#replicaSets.onChange(listen);
    this.#statefulSets.onChange(listen);
  }

  sumOf(pods: readonly Pod[]): number {
    const wanted = new Map<string | undefined, number>();
    for (const pod of pods) {
      const owner = this.#ownerOf(pod);
      if (owner !== undefined) wanted.set(owner.metadata.uid, owner.spec.replicas ?? 1);
    }
    return [...wanted.values()].reduce((sum, replicas) => sum + replicas, 0);
  }

  #ownerOf(pod: Pod): ReplicaSet | Deployment | StatefulSet | undefined {
    const controller = controllerOf(pod);
    const { namespace } = pod.metadata;
    if (controller?.kind === 'StatefulSet') return this.#statefulSets.get(controller.name, namespace);
    if (controller?.kind !== 'ReplicaSet') return undefined;
    const replicaSet = this.#replicaSets.get(controller.name, namespace);
    const above = replicaSet && controllerOf(replicaSet);
    return above?.kind === 'Deployment' ? this.#deployments.get(above.name, namespace) : replicaSet;
  }
}

/** @param scale what the pods' owners want together: percentages are of that, and maxUnavailable is below it */
export function buildStatus(
  budget: Budget,
  pods: readonly Pod[],
  scale: number,
  nowMs: number,
): { status: BudgetStatus; recheckInMs: number | undefined } {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  const isOfScale = maxUnavailable !== undefined || typeof minAvailable === 'string';
  const expectedPods = isOfScale ? scale : pods.length;
  const desiredHealthy =
    maxUnavailable === undefined
      ? resolveCount(minAvailable ?? 0, expectedPods, Math.ceil)
      : Math.max(0, expectedPods - resolveCount(maxUnavailable, expectedPods, Math.ceil));
  const disrupted = Object.entries(budget.status?.disruptedPods ?? {}).filter(([name, since]) => {
    const pod = pods.find(({ metadata }) => metadata.name === name);
    const isPending = pod !== undefined && pod.metadata.deletionTimestamp === undefined;
    return isPending && Date.parse(since) + EVICTION_MS > nowMs;
  });
  const leaving = new Set(disrupted.map(([name]) => name));
  const currentHealthy = pods.filter(
    (pod) => pod.metadata.deletionTimestamp === undefined && !leaving.has(pod.metadata.name ?? '') && isPodReady(pod),
  ).length;
  const disruptionsAllowed = expectedPods > 0 ? Math.max(0, currentHealthy - desiredHealthy) : 0;
  const { generation } = budget.metadata;
  const status: BudgetStatus = {
    ...(generation !== undefined ? { observedGeneration: generation } : {}),
    ...(disrupted.length > 0 ? { disruptedPods: Object.fromEntries(disrupted) } : {}),
    disruptionsAllowed,
    currentHealthy,
    desiredHealthy,
    expectedPods,
    conditions: [buildCondition(budget, disruptionsAllowed > 0, nowMs)],
  };
  const waits = disrupted.map(([, since]) => Date.parse(since) + EVICTION_MS - nowMs);
  return { status, recheckInMs: waits.length > 0 ? Math.min(...waits) : undefined };
}

function buildCondition(
  budget: Budget,
  isAllowed: boolean,
  nowMs: number,
): NonNullable<BudgetStatus['conditions']>[number] {
  const type = 'DisruptionAllowed';
  const status = isAllowed ? 'True' : 'False';
  const before = budget.status?.conditions?.find((each) => each.type === type);
  const { generation } = budget.metadata;
  return {
    type,
    status,
    ...(generation !== undefined ? { observedGeneration: generation } : {}),
    lastTransitionTime: (before?.status === status ? before.lastTransitionTime : undefined) ?? timestamp(nowMs),
    reason: isAllowed ? 'SufficientPods' : 'InsufficientPods',
    message: '',
  };
}
