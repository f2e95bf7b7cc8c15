// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { KubeError } from '../../kube/client.ts';
import { permitted } from './permitted.ts';

test('what the user may not read is noted; any other failure is one', async () => {
  const notes: string[] = [];
  const fails = (error: Error) => async () => {
    throw error;
  };
  expect(await permitted('the CA was', undefined, async () => 7, notes)).toBe(7);
  expect(
    await permitted('the CA was', [], fails(new KubeError(403, 'Forbidden', 'secrets is forbidden')), notes),
  ).toEqual([]);
  expect(notes).toEqual(['the CA was not looked at: secrets is forbidden']);
  await expect(permitted('x', [], fails(new KubeError(500, 'Internal', 'broken')), notes)).rejects.toThrow('broken');
  await expect(permitted('x', [], fails(new Error('away')), notes)).rejects.toThrow('away');
});
