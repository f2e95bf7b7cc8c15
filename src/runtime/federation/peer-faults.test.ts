// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { PeerFaults } from './peer-faults.ts';

test('a fault is told once, for as long as the peer tells it, and no other hides it', () => {
  const faults = new PeerFaults();
  expect(faults.note('c2', 'b/y', 'wrong')).toBe(true);
  expect(faults.note('c2', 'a/x', 'wrong too')).toBe(true);
  expect(faults.note('c2', 'b/y', 'wrong')).toBe(false);
  expect(faults.told().get('c2')).toBe('ExportedService a/x: wrong too (and 1 more)');
  // Mended, or deleted.
  expect(faults.note('c2', 'a/x', undefined)).toBe(false);
  expect(faults.told().get('c2')).toBe('ExportedService b/y: wrong');
  faults.note('c2', 'b/y', undefined);
  expect(faults.told().size).toBe(0);
});
