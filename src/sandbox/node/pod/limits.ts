// SPDX-License-Identifier: Apache-2.0
// What a container may use, by its spec and by the node's own rules.
import { totalmem } from 'node:os';
import { parseQuantity } from '../../../kube/quantity.ts';
import type { ContainerLimits } from '../container/control-groups.ts';
import type { Container, Pod } from '../pod-types.ts';

export interface SelectedLimits {
  readonly limits: ContainerLimits;
  readonly scratchBytes: number;
  readonly oomScore: number;
}

/** As a kubelet's podPidsLimit, but for one container: a fork bomb ends here and not at the machine's limit. */
const PIDS = 2_048;
/** These folders are in memory, and nobody means to fill the machine's. */
const DEFAULT_SCRATCH_BYTES = 2 ** 30;

export function selectLimits(pod: Pod, container: Container): SelectedLimits {
  const { limits = {}, requests = {} } = container.resources ?? {};
  const quantity = (value: string | number | undefined) => (value === undefined ? undefined : parseQuantity(value));
  return {
    limits: { memoryBytes: quantity(limits['memory']), cpus: quantity(limits['cpu']), pids: PIDS },
    scratchBytes: quantity(limits['ephemeral-storage']) ?? DEFAULT_SCRATCH_BYTES,
    oomScore: selectOomScore(pod, quantity(requests['memory'] ?? limits['memory'])),
  };
}

/**
 * The more a container has asked for, the later it is picked; the node's own processes come last.
 * https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/#node-out-of-memory-behavior
 */
function selectOomScore(pod: Pod, memoryBytes: number | undefined, machineBytes = totalmem()): number {
  if (pod.status?.qosClass === 'BestEffort' || memoryBytes === undefined) return 1000;
  if (pod.status?.qosClass === 'Guaranteed') return 1;
  return Math.min(999, Math.max(2, Math.round(1000 - (1000 * memoryBytes) / machineBytes)));
}
