// SPDX-License-Identifier: Apache-2.0
import { expect, it } from 'vitest';
import type { PersistentVolume } from '../pod-types.ts';
import { claimOf, directoryOf } from './claim-volume.ts';

const volume = (spec: PersistentVolume['spec']): PersistentVolume => ({
  apiVersion: 'v1',
  kind: 'PersistentVolume',
  metadata: { name: 'pv' },
  spec,
});

it('gives each path a folder of its own that no other contains, and lets none out of the disk', () => {
  expect(directoryOf('/disk', volume({ local: { path: '/pvc-1' } }))).toBe('/disk/pvc-1');
  expect(directoryOf('/disk', volume({ hostPath: { path: '/mnt/data/' } }))).toBe('/disk/mnt%2Fdata');
  expect(directoryOf('/disk', volume({ hostPath: { path: '../../../etc' } }))).toBe('/disk/etc');
  expect(() => directoryOf('/disk', volume({ hostPath: { path: '/a/..' } }))).toThrow('is the whole disk');
  expect(() => directoryOf('/disk', volume({ nfs: { server: 'x', path: '/' } }))).toThrow('no driver');
});

it('finds the claim behind a volume', () => {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [] } };
  expect(claimOf(pod, { name: 'data', ephemeral: {} })).toEqual({ volume: 'data', claim: 'p-data', isReadOnly: false });
  const persistentVolumeClaim = { claimName: 'c', readOnly: true };
  expect(claimOf(pod, { name: 'data', persistentVolumeClaim })).toMatchObject({ claim: 'c', isReadOnly: true });
  expect(claimOf(pod, { name: 'data', emptyDir: {} })).toBeUndefined();
});
