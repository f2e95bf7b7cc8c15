// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from './types.ts';

/** As in a Pod's status: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#PodStatus */
export interface ContainerStatus {
  readonly name: string;
  readonly ready?: boolean;
  readonly restartCount?: number;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly terminated?: { readonly reason?: string; readonly exitCode?: number };
  };
}

interface PodStatus {
  readonly phase?: string;
  readonly conditions?: readonly { readonly type: string; readonly status: string; readonly message?: string }[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly containerStatuses?: readonly ContainerStatus[];
}

/**
 * What a pod that is not ready waits for, in one line: `Pending: 0/1 nodes are available`, or `Running: istiod
 * CrashLoopBackOff, 3 restarts` of each container that is neither ready nor done.
 */
export function describeUnready({ status }: KubeObject): string {
  const {
    phase = 'Pending',
    conditions = [],
    initContainerStatuses = [],
    containerStatuses = [],
  } = (status ?? {}) as PodStatus;
  const unscheduled = conditions.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False');
  const containers = [...initContainerStatuses, ...containerStatuses]
    .filter(({ ready, state }) => ready !== true && state?.terminated?.exitCode !== 0)
    .map(describeContainer);
  const details = [...(unscheduled?.message === undefined ? [] : [unscheduled.message]), ...containers];
  return `${phase}: ${details.join(', ') || 'no container yet'}`;
}

function describeContainer({ name, state = {}, restartCount }: ContainerStatus): string {
  const { waiting, terminated } = state;
  const reason = waiting?.reason ?? terminated?.reason ?? 'running, but not ready';
  const detail = waiting?.message === undefined ? '' : ` (${waiting.message})`;
  return `${name} ${reason}${detail}${restartCount ? `, ${restartCount} restarts` : ''}`;
}
