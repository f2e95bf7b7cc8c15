// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { cureForSilence } from './unreachable.ts';

const REMAKE = 'make it anew';

test.each([
  ['https://10.0.0.1:6443', 'DEPTH_ZERO_SELF_SIGNED_CERT', /certificate-authority-data .*: make it anew$/],
  ['https://localhost:6443', 'ECONNREFUSED', /own machine/],
  ['https://127.0.0.1:6443', 'ECONNREFUSED', /own machine/],
  ['https://[::1]:6443', 'ECONNREFUSED', /own machine/],
  ['https://10.0.0.1:6443', 'ECONNREFUSED', /can reach https:\/\/10\.0\.0\.1:6443$/],
])('what to do about %s that says nothing (%s)', (server, code, cure) => {
  const below = Object.assign(new Error('below'), { code });
  expect(cureForSilence(new Error('no answer', { cause: below }), server, REMAKE)).toMatch(cure);
});
