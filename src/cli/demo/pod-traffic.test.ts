// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { answerReader, renderLoop } from './pod-traffic.ts';

const versionOf = (body: string): string | undefined => /version: (v\d)/.exec(body)?.[1];

test('an answer is its body’s lines and its status', () => {
  const read = answerReader(versionOf);
  expect(['Hello', 'version: v2', '', '@@200'].map(read)).toEqual([
    undefined,
    undefined,
    undefined,
    { version: 'v2', detail: '' },
  ]);
  expect(read('@@000')).toEqual({ version: undefined, detail: 'HTTP 000' });
  read('no healthy upstream');
  expect(read('@@503')).toEqual({ version: undefined, detail: 'HTTP 503 no healthy upstream' });
  read('version: v1');
  expect(read('@@500')).toMatchObject({ version: undefined });
  read('something else');
  expect(read('@@200')).toEqual({ version: undefined, detail: 'HTTP 200 something else' });
});

test.each([1, 73, 200, 430])('the loop asks %i times, in batches', (count) => {
  // In place of curl, what it was called with: how many URLs.
  const shell = `curl() { for word in "$@"; do case $word in http*) echo asked;; esac; done; }`;
  const script = renderLoop(['-A', 'who'], 'http://hello:5000/', count);
  const asked = execFileSync('sh', ['-c', `${shell}; ${script}`], { encoding: 'utf8' });
  expect(asked.match(/asked/g)).toHaveLength(count);
});
