// SPDX-License-Identifier: Apache-2.0
// Does a pod fit a node: taints, selectors, ports, resources. Pure; the words are the real scheduler's, for `kubectl
// describe pod`. https://kubernetes.io/docs/concepts/scheduling-eviction/
import { matchesLabels, matchesRequirement } from '../../../kube/label-selector.ts';
import { parseQuantity } from '../../../kube/quantity.ts';
import type { Container, Node, NodeSelectorTerm, Pod, Taint, Toleration } from '../objects.ts';

/** Why not. `isFinal`: other pods' leaving would not help. */
export interface Misfit {
  readonly reason: string;
  readonly isFinal: boolean;
}

export const NOT_READY = 'node.kubernetes.io/not-ready';
export const UNREACHABLE = 'node.kubernetes.io/unreachable';
export const UNSCHEDULABLE = 'node.kubernetes.io/unschedulable';

/** @param present the pods that the node has already, but for those that have ended */
export function misfitsOf(pod: Pod, node: Node, present: readonly Pod[]): Misfit[] {
  const final = (reason: string): Misfit[] => [{ reason, isFinal: true }];
  const unschedulable = { key: UNSCHEDULABLE, effect: 'NoSchedule' };
  if (node.spec?.unschedulable && !toleratesTaint(pod, unschedulable)) return final('node(s) were unschedulable');
  const taint = taintsOf(node).find((each) => each.effect !== 'PreferNoSchedule' && !toleratesTaint(pod, each));
  if (taint !== undefined) return final(`node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`);
  if (!matchesNode(pod, node)) return final("node(s) didn't match Pod's node affinity/selector");
  const ports = new Set(present.flatMap(hostPortsOf));
  if (hostPortsOf(pod).some((port) => ports.has(port))) {
    return [{ reason: "node(s) didn't have free ports for the requested pod ports", isFinal: false }];
  }
  return shortagesOf(pod, node, present);
}

/** A node that does not say that it is ready counts as tainted, also before somebody has written so on it. */
export function taintsOf(node: Node): Taint[] {
  const taints = [...(node.spec?.taints ?? [])];
  const isReady = node.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
  const isTold = taints.some(({ key }) => key === NOT_READY || key === UNREACHABLE);
  return isReady || isTold ? taints : [...taints, { key: NOT_READY, effect: 'NoSchedule' }];
}

export function toleratesTaint(pod: Pod, taint: Taint): boolean {
  return pod.spec.tolerations?.some((each) => tolerates(each, taint)) ?? false;
}

export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  if (toleration.operator === 'Exists') return true;
  return toleration.key === taint.key && (toleration.value ?? '') === (taint.value ?? '');
}

/** nodeSelector and the required part of nodeAffinity. */
export function matchesNode(pod: Pod, node: Node): boolean {
  if (!matchesLabels(pod.spec.nodeSelector ?? {}, node.metadata.labels)) return false;
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || matchesTerms(required.nodeSelectorTerms ?? [], node);
}

/** The terms are alternatives; what stands in one term must all hold. */
export function matchesTerms(terms: readonly NodeSelectorTerm[], node: Node): boolean {
  return terms.some(
    ({ matchExpressions = [], matchFields = [] }) =>
      matchExpressions.length + matchFields.length > 0 &&
      matchExpressions.every((each) => matchesRequirement(each, node.metadata.labels ?? {})) &&
      matchFields.every((each) => matchesRequirement(each, { 'metadata.name': node.metadata.name ?? '' })),
  );
}

function hostPortsOf({ spec }: Pod): string[] {
  return [...spec.containers, ...(spec.initContainers ?? []).filter(isSidecar)].flatMap(({ ports }) =>
    (ports ?? []).flatMap(({ hostPort, hostIP = '', protocol = 'TCP' }) =>
      hostPort ? [`${protocol} ${hostIP} ${hostPort}`] : [],
    ),
  );
}

function shortagesOf(pod: Pod, node: Node, present: readonly Pod[]): Misfit[] {
  const allocatable = node.status?.allocatable ?? {};
  const misfits: Misfit[] = [];
  if (present.length >= Number(allocatable['pods'] ?? Number.POSITIVE_INFINITY)) {
    misfits.push({ reason: 'Too many pods', isFinal: false });
  }
  for (const [name, wanted] of requestsOf(pod)) {
    if (wanted === 0) continue;
    // What the node does not speak of it has not, but for the two that every node has.
    const total = allocatable[name] ?? (name === 'cpu' || name === 'memory' ? undefined : '0');
    if (total === undefined) continue;
    const capacity = parseQuantity(total);
    const used = present.reduce((sum, each) => sum + (requestsOf(each).get(name) ?? 0), 0);
    // A thousandth of a core is the smallest unit there is: below it lies only the error of floating point.
    if (used + wanted > capacity + 1e-6) misfits.push({ reason: `Insufficient ${name}`, isFinal: wanted > capacity });
  }
  return misfits;
}

/**
 * What a pod asks for in sum: its containers and sidecars, or the largest of its init containers with the sidecars
 * before it, and the overhead.
 * https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/#resource-sharing-within-containers
 */
export function requestsOf({ spec }: Pod): Map<string, number> {
  const running = new Map<string, number>();
  const peak = new Map<string, number>();
  for (const container of spec.initContainers ?? []) {
    const own = ownRequests(container);
    if (isSidecar(container)) addTo(running, own);
    for (const name of new Set([...running.keys(), ...own.keys()])) {
      const now = (running.get(name) ?? 0) + (isSidecar(container) ? 0 : (own.get(name) ?? 0));
      peak.set(name, Math.max(peak.get(name) ?? 0, now));
    }
  }
  for (const container of spec.containers) addTo(running, ownRequests(container));
  for (const [name, amount] of peak) running.set(name, Math.max(running.get(name) ?? 0, amount));
  addTo(running, new Map(Object.entries(spec.overhead ?? {}).map(([name, amount]) => [name, parseQuantity(amount)])));
  return running;
}

function isSidecar({ restartPolicy }: Container): boolean {
  return restartPolicy === 'Always';
}

function ownRequests({ resources }: Container): Map<string, number> {
  const entries = Object.entries(resources?.requests ?? {});
  return new Map(entries.map(([name, amount]) => [name, parseQuantity(amount)]));
}

function addTo(sum: Map<string, number>, added: ReadonlyMap<string, number>): void {
  for (const [name, amount] of added) sum.set(name, (sum.get(name) ?? 0) + amount);
}
