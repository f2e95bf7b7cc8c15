// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { startLiveLine } from './live-line.ts';

test.each([
  [true, '\r\x1b[Kreading\r\x1b[K'],
  [undefined, ''],
])('is written over on a terminal, and leaves nothing elsewhere: %s', (isTTY, wanted) => {
  let written = '';
  const write = (text: string | Uint8Array): boolean => {
    written += String(text);
    return true;
  };
  const line = startLiveLine({ isTTY: isTTY as boolean, write });
  line.show('reading');
  line.clear();
  expect(written).toBe(wanted);
});
