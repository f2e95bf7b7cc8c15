// SPDX-License-Identifier: Apache-2.0
// Which volume fits a claim. Pure. https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding
import { matchesSelector } from '../../../kube/label-selector.ts';
import { parseQuantity } from '../../../kube/quantity.ts';
import type { PersistentVolume, PersistentVolumeClaim } from './storage-objects.ts';

/** The volume that is meant for the claim or, among the free ones that fit, the smallest. */
export function matchVolume(
  claim: PersistentVolumeClaim,
  volumes: Iterable<PersistentVolume>,
): PersistentVolume | undefined {
  const candidates = [...volumes].filter((volume) => volume.metadata.deletionTimestamp === undefined);
  if (claim.spec.volumeName) {
    const named = candidates.find(({ metadata }) => metadata.name === claim.spec.volumeName);
    return named && (isReservedFor(named, claim) || named.spec.claimRef === undefined) ? named : undefined;
  }
  const reserved = candidates.find((volume) => isReservedFor(volume, claim));
  if (reserved !== undefined) return reserved;
  const fitting = candidates.filter(
    (volume) => volume.spec.claimRef === undefined && volume.status?.phase === 'Available' && fits(volume, claim),
  );
  return fitting.sort((a, b) => sizeOf(a) - sizeOf(b))[0];
}

/** By the reference on the volume: of this claim by uid, or of one of its name that was not there yet. */
export function isReservedFor({ spec: { claimRef } }: PersistentVolume, { metadata }: PersistentVolumeClaim): boolean {
  if (claimRef?.namespace !== metadata.namespace || claimRef?.name !== metadata.name) return false;
  return !claimRef?.uid || claimRef.uid === metadata.uid;
}

function fits(volume: PersistentVolume, claim: PersistentVolumeClaim): boolean {
  const { accessModes = [], resources, selector, storageClassName = '', volumeMode = 'Filesystem' } = claim.spec;
  return (
    (volume.spec.storageClassName ?? '') === storageClassName &&
    (volume.spec.volumeMode ?? 'Filesystem') === volumeMode &&
    accessModes.every((mode) => volume.spec.accessModes?.includes(mode)) &&
    sizeOf(volume) >= parseQuantity(resources?.requests?.['storage'] ?? '0') &&
    (selector === undefined || matchesSelector(selector, volume.metadata.labels))
  );
}

function sizeOf({ spec }: PersistentVolume): number {
  return parseQuantity(spec.capacity?.['storage'] ?? '0');
}
