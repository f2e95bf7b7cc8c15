// SPDX-License-Identifier: Apache-2.0
// What random exports and imports have in common: few places, so that they meet.
import fc from 'fast-check';
import type { KubeObject } from '../../kube/types.ts';
import type { ObjectNews } from '../own-exports.ts';

export const upsert = (object: KubeObject): ObjectNews => ({ kind: 'upsert', object });
export const remove = (object: KubeObject): ObjectNews => ({ kind: 'delete', object });
export const created = (at: number): string =>
  new Date(Date.UTC(2026, 0, 1) + at * 1000).toISOString().replace('.000', '');

export const NAMESPACES = ['a', 'b'];
export const NAMES = ['x', 'y', 'z'];
export const place = fc.record({ namespace: fc.constantFrom(...NAMESPACES), name: fc.constantFrom(...NAMES) });
