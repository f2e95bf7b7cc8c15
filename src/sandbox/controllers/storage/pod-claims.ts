// SPDX-License-Identifier: Apache-2.0
import type { Pod } from '../objects.ts';

/** Names of the claims that the pod's volumes use; a generic ephemeral volume has one of the pod's own. */
export function claimsOf(pod: Pod): string[] {
  return (pod.spec.volumes ?? []).flatMap(({ name, persistentVolumeClaim, ephemeral }) => {
    if (persistentVolumeClaim !== undefined) return [persistentVolumeClaim.claimName];
    return ephemeral === undefined ? [] : [`${pod.metadata.name}-${name}`];
  });
}
