// SPDX-License-Identifier: Apache-2.0
import type { KubeObject } from '../../../kube/types.ts';

/** Marked for deletion, with nobody left to wait for: no finalizer, and no grace period that a kubelet has to end. */
export function isFinished(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  if (!deletionTimestamp || (finalizers?.length ?? 0) > 0) return false;
  if (object.kind === 'Namespace' && object.apiVersion === 'v1') {
    return ((object['spec'] as { finalizers?: string[] } | undefined)?.finalizers?.length ?? 0) === 0;
  }
  return (deletionGracePeriodSeconds ?? 0) === 0;
}
