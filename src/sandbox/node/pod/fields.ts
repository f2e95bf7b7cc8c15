// SPDX-License-Identifier: Apache-2.0
// The downward API: a pod's own fields as text.
import { availableParallelism, totalmem } from 'node:os';
import { parseQuantity } from '../../../kube/quantity.ts';
import type { Container, Pod, ResourceFieldRef } from '../pod-types.ts';

/** What the pod's object may not say yet when its containers start. */
export interface PodPlace {
  readonly podIp: string;
  readonly hostIp: string;
}

/**
 * The value of a fieldPath. With `asFile`, whole maps are allowed, one `key="value"` per line.
 * @throws Error for a path that is not supported
 */
export function readField(pod: Pod, fieldPath: string, place: PodPlace, asFile = false): string {
  const { metadata, spec } = pod;
  const subscript = /^metadata\.(labels|annotations)\['(.+)'\]$/.exec(fieldPath);
  if (subscript) return metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2] ?? ''] ?? '';
  if (asFile && (fieldPath === 'metadata.labels' || fieldPath === 'metadata.annotations')) {
    const map = metadata[fieldPath === 'metadata.labels' ? 'labels' : 'annotations'] ?? {};
    return Object.entries(map)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .join('\n');
  }
  switch (fieldPath) {
    case 'metadata.name':
      return metadata.name ?? '';
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'spec.nodeName':
      return spec.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec.serviceAccountName ?? '';
    case 'status.podIP':
    case 'status.podIPs':
      return place.podIp;
    case 'status.hostIP':
    case 'status.hostIPs':
      return place.hostIp;
    default:
      throw new Error(`unsupported fieldPath: ${fieldPath}`);
  }
}

/** `limits.cpu`, `requests.memory`...: without a limit, what the machine has. Rounded up, as Kubernetes does. */
export function readResourceField(container: Container, ref: ResourceFieldRef): string {
  const [kind, resource] = ref.resource.split('.', 2) as [string, string];
  if ((kind !== 'limits' && kind !== 'requests') || !['cpu', 'memory', 'ephemeral-storage'].includes(resource)) {
    throw new Error(`unsupported container resource: ${ref.resource}`);
  }
  const set = container.resources?.[kind]?.[resource] ?? (kind === 'requests' ? 0 : undefined);
  const machine = resource === 'cpu' ? availableParallelism() : totalmem();
  const amount = set === undefined ? machine : parseQuantity(set);
  const divisor = ref.divisor === undefined || ref.divisor === '0' ? 1 : parseQuantity(ref.divisor);
  return String(Math.ceil(amount / (divisor || 1)));
}
