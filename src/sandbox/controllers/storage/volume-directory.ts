// SPDX-License-Identifier: Apache-2.0
// The volumes that the sandbox makes itself: a directory on the disk of the node, which is a folder of the sandbox's
// state. The node makes it when the first pod mounts it; it is removed here.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { apiVersionOf, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '../../../kube/resources.ts';
import type { ObjectReference } from '../objects.ts';
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from './storage-objects.ts';

export const PROVISIONER = 'isthmus.dev/directory';
const PROVISIONED_BY = 'pv.kubernetes.io/provisioned-by';
export const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller';

/** A volume for the claim alone. Its name follows from the claim's uid, so that a second attempt finds the first. */
export function buildVolume(claim: PersistentVolumeClaim, kind: StorageClass, hostname: string): PersistentVolume {
  const name = `pvc-${claim.metadata.uid}`;
  const { accessModes = [], resources, volumeMode = 'Filesystem' } = claim.spec;
  const onNode = [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [hostname] }] }];
  return {
    apiVersion: apiVersionOf(PERSISTENT_VOLUMES),
    kind: PERSISTENT_VOLUMES.kind,
    metadata: { name, annotations: { [PROVISIONED_BY]: PROVISIONER, [BOUND_BY_CONTROLLER]: 'yes' } },
    spec: {
      capacity: { storage: resources?.requests?.['storage'] ?? '0' },
      accessModes,
      claimRef: referenceTo(claim),
      persistentVolumeReclaimPolicy: kind.reclaimPolicy ?? 'Delete',
      storageClassName: kind.metadata.name ?? '',
      volumeMode,
      local: { path: `/${name}` },
      nodeAffinity: { required: { nodeSelectorTerms: onNode } },
    },
  };
}

export function referenceTo({ metadata }: PersistentVolumeClaim): ObjectReference & { apiVersion: string } {
  const { name = '', namespace = '', uid = '', resourceVersion } = metadata;
  return {
    apiVersion: apiVersionOf(PERSISTENT_VOLUME_CLAIMS),
    kind: PERSISTENT_VOLUME_CLAIMS.kind,
    name,
    namespace,
    uid,
    ...(resourceVersion ? { resourceVersion } : {}),
  };
}

export function isOurs({ metadata, spec }: PersistentVolume): boolean {
  const { name = '', annotations } = metadata;
  return (
    annotations?.[PROVISIONED_BY] === PROVISIONER && /^pvc-[0-9a-f-]{36}$/.test(name) && spec.local?.path === `/${name}`
  );
}

/** @param diskDir the folder that is the node's disk; only what buildVolume made is ever removed from it */
export async function removeDirectory(diskDir: string, volume: PersistentVolume): Promise<void> {
  if (!isOurs(volume)) throw new Error(`volume ${volume.metadata.name} was not made by ${PROVISIONER}`);
  await rm(join(diskDir, volume.metadata.name ?? ''), { recursive: true, force: true });
}
