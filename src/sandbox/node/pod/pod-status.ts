// SPDX-License-Identifier: Apache-2.0
// PodStatus from what the containers do. https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
import type { ContainerStatus, Pod, PodCondition, PodStatus } from '../pod-types.ts';

export interface PodFacts {
  readonly pod: Pod;
  readonly hostIp: string;
  readonly podIp: string | undefined;
  readonly startTime: string;
  readonly containers: readonly ContainerStatus[];
  readonly initContainers: readonly ContainerStatus[];
  readonly ephemeralContainers: readonly ContainerStatus[];
  /** Why the node ended the pod. */
  readonly failure: { readonly reason: string; readonly message: string } | undefined;
  /** All init containers have done their work, and the sidecars among them have started. */
  readonly isInitialized: boolean;
  /** An init container failed for good. */
  readonly hasFailedInit: boolean;
  readonly isStopping: boolean;
  readonly now: Date;
}

export function buildPodStatus(facts: PodFacts, previous: PodStatus | undefined): PodStatus {
  const phase = selectPhase(facts);
  return {
    phase,
    ...facts.failure,
    hostIP: facts.hostIp,
    hostIPs: [{ ip: facts.hostIp }],
    ...(facts.podIp !== undefined && { podIP: facts.podIp, podIPs: [{ ip: facts.podIp }] }),
    startTime: facts.startTime,
    conditions: buildConditions(facts, phase, previous?.conditions ?? []),
    containerStatuses: [...facts.containers],
    ...(facts.initContainers.length > 0 && { initContainerStatuses: [...facts.initContainers] }),
    ...(facts.ephemeralContainers.length > 0 && { ephemeralContainerStatuses: [...facts.ephemeralContainers] }),
  };
}

function selectPhase(facts: PodFacts): string {
  const { containers, pod } = facts;
  if (facts.hasFailedInit) return 'Failed';
  if (facts.failure && ![...facts.initContainers, ...containers].some(({ state }) => state.running)) return 'Failed';
  if (!facts.isInitialized) return 'Pending';
  const hasRun = ({ state, lastState }: ContainerStatus) => state.running || state.terminated || lastState.terminated;
  if (!containers.every(hasRun)) return 'Pending';
  const rule = pod.spec.restartPolicy ?? 'Always';
  // A pod is done when its sidecars are.
  const isDone = [...containers, ...runningSidecars(facts)].every(({ state }) => state.terminated);
  if (!isDone || (rule === 'Always' && !facts.isStopping)) return 'Running';
  if (containers.every(({ state }) => state.terminated?.exitCode === 0)) return 'Succeeded';
  return rule === 'OnFailure' && !facts.isStopping ? 'Running' : 'Failed';
}

function sidecarsOf(facts: PodFacts): ContainerStatus[] {
  const { initContainers = [] } = facts.pod.spec;
  return facts.initContainers.filter((_, index) => initContainers[index]?.restartPolicy === 'Always');
}

function runningSidecars(facts: PodFacts): ContainerStatus[] {
  return sidecarsOf(facts).filter(({ state }) => state.running);
}

function buildConditions(facts: PodFacts, phase: string, previous: readonly PodCondition[]): PodCondition[] {
  const isOver = phase === 'Succeeded';
  const unready = [...sidecarsOf(facts), ...facts.containers].filter(({ ready }) => !ready).map(({ name }) => name);
  const notReady = { reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
  const readiness = isOver ? { reason: 'PodCompleted' } : notReady;
  const isReady = unready.length === 0 && facts.isInitialized;
  const pending = facts.initContainers.filter(({ state }) => !state.terminated).map(({ name }) => name);
  const incomplete = {
    reason: 'ContainersNotInitialized',
    message: `containers with incomplete status: [${pending.join(' ')}]`,
  };
  const gatesPassed = (readinessGates(facts.pod) ?? []).every((type) =>
    previous.some((condition) => condition.type === type && condition.status === 'True'),
  );
  const gates = { reason: 'ReadinessGatesNotReady' };
  const own: PodCondition[] = [
    condition('PodReadyToStartContainers', facts.podIp !== undefined && !facts.isStopping, {}),
    condition('Initialized', facts.isInitialized, isOver ? { reason: 'PodCompleted' } : incomplete),
    condition('Ready', isReady && gatesPassed, isReady ? gates : readiness),
    condition('ContainersReady', isReady, readiness),
  ];
  // What others wrote stays: the scheduler's PodScheduled, readiness gates.
  const others = previous.filter(({ type }) => !own.some((candidate) => candidate.type === type));
  const time = facts.now.toISOString().replace(/\.\d+Z$/, 'Z');
  return [...own.map((next) => keepTransitionTime(next, previous, time)), ...others];
}

function condition(type: string, holds: boolean, otherwise: { reason?: string; message?: string }): PodCondition {
  return holds ? { type, status: 'True' } : { type, status: 'False', ...otherwise };
}

function keepTransitionTime(next: PodCondition, previous: readonly PodCondition[], time: string): PodCondition {
  const before = previous.find(({ type }) => type === next.type);
  const isSame = before?.status === next.status && before.lastTransitionTime;
  return { ...next, lastTransitionTime: isSame ? before.lastTransitionTime! : time };
}

function readinessGates(pod: Pod): string[] | undefined {
  const gates = (pod.spec as { readinessGates?: { conditionType: string }[] }).readinessGates;
  return gates?.map(({ conditionType }) => conditionType);
}
