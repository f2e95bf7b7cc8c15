// SPDX-License-Identifier: Apache-2.0
// Which nodes a DaemonSet wants a pod on, and what is to be made and deleted there. Pure.
// https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/
import { matchesNode, NOT_READY, taintsOf, toleratesTaint, UNREACHABLE, UNSCHEDULABLE } from '../nodes/node-fit.ts';
import type { Node, Pod, PodSpec, Toleration } from '../objects.ts';
import { availableInMs, isPodFinished } from '../pod-state.ts';
import { REVISION_LABEL } from './revisions.ts';
import { resolveCount } from './rollout-plan.ts';
import type { DaemonSet } from './workload-objects.ts';

/** What every daemon pod bears. https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#taints-and-tolerations */
const TOLERATIONS: readonly Toleration[] = [
  { key: NOT_READY, operator: 'Exists', effect: 'NoExecute' },
  { key: UNREACHABLE, operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: UNSCHEDULABLE, operator: 'Exists', effect: 'NoSchedule' },
];

/** The template's spec for a pod that the scheduler may put on `node` only. */
export function daemonSpec({ spec: { template } }: DaemonSet, node: string): PodSpec {
  const tolerations = [...(template.spec.tolerations ?? [])];
  for (const added of TOLERATIONS) {
    const isThere = tolerations.some(({ key, effect }) => key === added.key && effect === added.effect);
    if (!isThere) tolerations.push({ ...added });
  }
  const onNode = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] };
  const { affinity } = template.spec;
  const nodeAffinity = {
    ...affinity?.nodeAffinity,
    requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [onNode] },
  };
  return { ...template.spec, tolerations, affinity: { ...affinity, nodeAffinity } };
}

/** The node that a daemon pod is meant for, whether it is bound yet or not. */
export function nodeOf({ spec }: Pod): string {
  const required = spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const field = required?.nodeSelectorTerms?.[0]?.matchFields?.find(({ key }) => key === 'metadata.name');
  return spec.nodeName || field?.values?.[0] || '';
}

/** `wanted`: a pod shall be made here; `tolerated`: one that is here may stay. */
export function standingOf(set: DaemonSet, node: Node): { wanted: boolean; tolerated: boolean } {
  const { template } = set.spec;
  const { tolerations = [] } = daemonSpec(set, node.metadata.name ?? '');
  const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec: { ...template.spec, tolerations } };
  if (!matchesNode(pod, node)) return { wanted: false, tolerated: false };
  const untolerated = taintsOf(node).filter((taint) => !toleratesTaint(pod, taint));
  return {
    wanted: untolerated.every(({ effect }) => effect === 'PreferNoSchedule'),
    tolerated: untolerated.every(({ effect }) => effect !== 'NoExecute'),
  };
}

export interface DaemonPlan {
  /** Names of nodes. */
  readonly create: string[];
  readonly remove: Pod[];
  recheckInMs?: number;
}

/** A pod that failed at once would else be made again as fast as the server writes. */
const FAILURE_PAUSE_MS = 1_000;

/** @param hash of the current template */
export function planDaemons(
  set: DaemonSet,
  nodes: readonly Node[],
  pods: readonly Pod[],
  hash: string,
  nowMs: number,
): DaemonPlan {
  const plan: DaemonPlan = { create: [], remove: [] };
  const byNode = groupByNode(pods);
  for (const pod of pods.filter((each) => isPodFinished(each) && !isLeaving(each))) {
    const waitMs = Date.parse(pod.metadata.creationTimestamp ?? '') + FAILURE_PAUSE_MS - nowMs;
    if (waitMs <= 0) plan.remove.push(pod);
    else plan.recheckInMs = Math.min(plan.recheckInMs ?? waitMs, waitMs);
  }
  const wanted: string[] = [];
  for (const node of nodes) {
    const name = node.metadata.name ?? '';
    const here = byNode.get(name) ?? [];
    byNode.delete(name);
    const staying = here.filter((pod) => !isPodFinished(pod) && !isLeaving(pod));
    const standing = standingOf(set, node);
    if (standing.wanted) wanted.push(name);
    if (!standing.tolerated) plan.remove.push(...staying);
    else if (standing.wanted && here.length === 0) plan.create.push(name);
    else plan.remove.push(...selectDoubles(staying, hash));
  }
  if ((set.spec.updateStrategy?.type ?? 'RollingUpdate') === 'RollingUpdate') {
    const free = new Set(plan.remove);
    planRollout(set, wanted, groupByNode(pods.filter((pod) => !free.has(pod))), hash, nowMs, plan);
  }
  return plan;
}

/** Of each template one pod may stay on a node: the oldest. During a surge there is one of the old and one of the new. */
function selectDoubles(staying: readonly Pod[], hash: string): Pod[] {
  const oldestFirst = [...staying].sort(byAge);
  const isNew = (pod: Pod): boolean => revisionOf(pod) === hash;
  return [...oldestFirst.filter(isNew).slice(1), ...oldestFirst.filter((pod) => !isNew(pod)).slice(1)];
}

function planRollout(
  set: DaemonSet,
  wanted: readonly string[],
  byNode: ReadonlyMap<string, Pod[]>,
  hash: string,
  nowMs: number,
  plan: DaemonPlan,
): void {
  const { maxUnavailable = 1, maxSurge = 0 } = set.spec.updateStrategy?.rollingUpdate ?? {};
  const surge = resolveCount(maxSurge, wanted.length, Math.ceil);
  const limit = resolveCount(maxUnavailable, wanted.length, Math.ceil);
  const unavailableLimit = surge === 0 ? Math.max(1, limit) : limit;
  const isAvailable = (pod: Pod): boolean => {
    if (isLeaving(pod) || isPodFinished(pod)) return false;
    const waitMs = availableInMs(pod, set.spec.minReadySeconds ?? 0, nowMs);
    if (waitMs) plan.recheckInMs = Math.min(plan.recheckInMs ?? waitMs, waitMs);
    return waitMs === 0;
  };
  let unavailable = 0;
  let surging = 0;
  const replaceable: Pod[] = [];
  const toSurge: string[] = [];
  for (const node of wanted) {
    const here = byNode.get(node) ?? [];
    const fresh = here.find((pod) => revisionOf(pod) === hash && !isLeaving(pod));
    const old = here.find((pod) => revisionOf(pod) !== hash && !isLeaving(pod) && !isPodFinished(pod));
    const isServed = here.some(isAvailable);
    if (!isServed) unavailable++;
    if (old === undefined) continue;
    // One that does not serve is missed by nobody; one whose successor serves has done its work.
    if (!isAvailable(old) || (fresh !== undefined && isAvailable(fresh))) plan.remove.push(old);
    else if (fresh !== undefined) surging++;
    else if (surge > 0) toSurge.push(node);
    else replaceable.push(old);
  }
  plan.create.push(...toSurge.slice(0, Math.max(0, surge - surging)));
  plan.remove.push(...replaceable.slice(0, Math.max(0, unavailableLimit - unavailable)));
}

export function groupByNode(pods: readonly Pod[]): Map<string, Pod[]> {
  const byNode = new Map<string, Pod[]>();
  for (const pod of [...pods].sort(byAge)) {
    const here = byNode.get(nodeOf(pod));
    if (here) here.push(pod);
    else byNode.set(nodeOf(pod), [pod]);
  }
  return byNode;
}

export function revisionOf({ metadata }: Pod): string {
  return metadata.labels?.[REVISION_LABEL] ?? '';
}

function isLeaving({ metadata }: Pod): boolean {
  return metadata.deletionTimestamp !== undefined;
}

function byAge(a: Pod, b: Pod): number {
  return (a.metadata.creationTimestamp ?? '').localeCompare(b.metadata.creationTimestamp ?? '');
}
