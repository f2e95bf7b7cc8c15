// SPDX-License-Identifier: Apache-2.0
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { encodeFields } from './delimited.ts';

test.each([0, 1, 127, 128, 16_383, 16_384, 2_097_152])('writes what a protobuf writer writes: %i bytes', (length) => {
  const content = new Uint8Array(length).fill(7);
  const inner = new BinaryWriter().tag(3, WireType.LengthDelimited).bytes(content).finish();
  const writer = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(inner);
  const expected = writer.tag(2047, WireType.LengthDelimited).bytes(content).finish();
  expect(
    Buffer.compare(
      encodeFields([
        [2, [[3, content]]],
        [2047, content],
      ]),
      expected,
    ),
  ).toBe(0);
});
