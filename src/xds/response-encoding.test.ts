// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { ResponseEncoder } from './response-encoding.ts';
import type { XdsResource } from './types.ts';

const TYPE = 'type.googleapis.com/test.Thing';

function resource(name: string): XdsResource {
  return { typeUrl: TYPE, name, version: '1', value: Buffer.alloc(100) };
}

test('small answers are shared by streams, and not kept for as long as there is what is in them', () => {
  const encoder = new ResponseEncoder(undefined, 20_000);
  const [first, ...others] = Array.from({ length: 100 }, (_, i) => resource(`r${i}`));
  const answer = (to: XdsResource) =>
    encoder.encode('delta', { typeUrl: TYPE, nonce: '1', resources: [to], removed: [] });
  const given = answer(first!);
  expect(answer(first!)).toBe(given);
  for (const other of others) answer(other);
  expect(answer(first!)).not.toBe(given);
  expect(answer(first!)).toEqual(given);
});
