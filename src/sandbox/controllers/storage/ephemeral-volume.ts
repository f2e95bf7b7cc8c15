// SPDX-License-Identifier: Apache-2.0
// https://kubernetes.io/docs/concepts/storage/ephemeral-volumes/#generic-ephemeral-volumes
import { KubeError } from '../../../kube/client.ts';
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '../../../kube/resources.ts';
import {
  type Controller,
  type ControllerContext,
  createQueue,
  isNamespaceTerminating,
  recorderFor,
} from '../controller.ts';
import { keyOf } from '../informer.ts';
import type { Pod } from '../objects.ts';
import { ownerReferenceTo } from '../ownership.ts';
import type { PersistentVolumeClaim } from './storage-objects.ts';

const NAME = 'ephemeral-volume-controller';

/** Makes the claims of pods' generic ephemeral volumes; the pods own them. Keys are pods. */
export function createEphemeralVolumeController(context: ControllerContext): Controller {
  const pods = context.informers.of<Pod>(PODS);
  const claims = context.informers.of<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS);
  const queue = createQueue(context, NAME);
  const events = recorderFor(context, NAME);
  pods.onChange((before, after) => {
    if (before === undefined && after?.spec.volumes?.some(({ ephemeral }) => ephemeral)) queue.add(keyOf(after));
  });

  return {
    name: NAME,
    queue,
    async reconcile(key) {
      const pod = pods.byKey(key);
      if (pod === undefined || pod.metadata.deletionTimestamp !== undefined) return;
      for (const { name, ephemeral } of pod.spec.volumes ?? []) {
        if (ephemeral === undefined) continue;
        const { metadata, spec } = ephemeral.volumeClaimTemplate;
        const claim: PersistentVolumeClaim = {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          metadata: {
            ...metadata,
            name: `${pod.metadata.name}-${name}`,
            namespace: pod.metadata.namespace ?? '',
            ownerReferences: [ownerReferenceTo(PODS, pod)],
          },
          spec,
        };
        const known = claims.get(claim.metadata.name ?? '', pod.metadata.namespace);
        if (known?.metadata.ownerReferences?.some(({ uid }) => uid === pod.metadata.uid)) continue;
        try {
          await claims.echo(await context.client.create(PERSISTENT_VOLUME_CLAIMS, claim));
        } catch (error) {
          if (isNamespaceTerminating(error)) return;
          const isTaken = error instanceof KubeError && error.reason === 'AlreadyExists';
          const message = isTaken
            ? `PVC "${claim.metadata.namespace}/${claim.metadata.name}" was not created for pod "${key}" (pod is not owner)`
            : `ephemeral volume ${name}: ${(error as Error).message}`;
          events.record(pod, 'Warning', 'FailedBinding', message);
          throw error;
        }
      }
    },
  };
}
