// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { complaintsOf } from './export-conditions.ts';

test('a conflict is wrong when it is there, every other condition when it is not met', () => {
  const exported = (status: unknown) => ({ apiVersion: 'v1', kind: 'ExportedService', metadata: {}, status });
  const said = (type: string, status: string) => ({ type, status, reason: 'Why', message: 'so' });
  const conditions = [said('Valid', 'True'), said('Ready', 'False'), said('Conflict', 'True'), 'nonsense'];
  expect(complaintsOf(exported({ conditions })).map(({ type }) => type)).toEqual(['Ready', 'Conflict']);
  expect(complaintsOf(exported({ conditions: [said('Ready', 'Unknown'), said('Conflict', 'False')] }))).toEqual([]);
  expect(complaintsOf(exported(undefined))).toEqual([]);
});
