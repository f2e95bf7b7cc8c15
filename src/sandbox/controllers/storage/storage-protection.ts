// SPDX-License-Identifier: Apache-2.0
// https://kubernetes.io/docs/concepts/storage/persistent-volumes/#storage-object-in-use-protection
import { KubeError } from '../../../kube/client.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS } from '../../../kube/resources.ts';
import type { KubeObject, ResourceType } from '../../../kube/types.ts';
import { type Controller, type ControllerContext, createQueue, enqueueChanged } from '../controller.ts';
import type { Pod } from '../objects.ts';
import { claimsOf } from './pod-claims.ts';
import type { PersistentVolume, PersistentVolumeClaim } from './storage-objects.ts';

const NAME = 'storage-protection-controller';
const CLAIM_FINALIZER = 'kubernetes.io/pvc-protection';
const VOLUME_FINALIZER = 'kubernetes.io/pv-protection';

/**
 * Lets a deleted claim go once no pod uses it, and a deleted volume once no claim is bound to it; the server put the
 * finalizers there. Keys are claims (`namespace/name`) and volumes (`/name`).
 */
export function createStorageProtection(context: ControllerContext): Controller {
  const claims = context.informers.of<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS);
  const volumes = context.informers.of<PersistentVolume>(PERSISTENT_VOLUMES);
  const pods = context.informers.of<Pod>(PODS);
  const queue = createQueue(context, NAME);
  enqueueChanged(queue, claims);
  enqueueChanged(queue, volumes);
  pods.onChange((before, after) => {
    if (after === undefined && before !== undefined) {
      for (const name of claimsOf(before)) queue.add(`${before.metadata.namespace}/${name}`);
    }
  });

  const release = async (type: ResourceType, { metadata }: KubeObject, finalizer: string): Promise<void> => {
    const { name = '', namespace, uid, resourceVersion, finalizers = [] } = metadata;
    const left = finalizers.filter((each) => each !== finalizer);
    const patch = { metadata: { uid, resourceVersion, finalizers: left.length > 0 ? left : null } };
    try {
      await context.client.patch(type, name, namespace, patch);
    } catch (error) {
      if (!(error instanceof KubeError && error.code === 404)) throw error;
    }
  };
  const isLeaving = ({ metadata }: KubeObject, finalizer: string): boolean =>
    metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).includes(finalizer);

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      if (key.startsWith('/')) {
        const volume = volumes.byKey(key);
        if (volume === undefined || !isLeaving(volume, VOLUME_FINALIZER) || volume.status?.phase === 'Bound') return;
        await release(PERSISTENT_VOLUMES, volume, VOLUME_FINALIZER);
        return;
      }
      const claim = claims.byKey(key);
      if (claim === undefined || !isLeaving(claim, CLAIM_FINALIZER)) return;
      const { name = '', namespace } = claim.metadata;
      const isUsed = (pod: Pod): boolean => Boolean(pod.spec.nodeName) && claimsOf(pod).includes(name);
      if (pods.inNamespace(namespace).some(isUsed)) return;
      // The cache may lag behind a pod that was bound just now.
      const { items } = await context.client.list<Pod>(PODS, { namespace });
      if (!items.some(isUsed)) await release(PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_FINALIZER);
    },
  };
}
