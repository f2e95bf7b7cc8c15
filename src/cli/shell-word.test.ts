// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { shellWord } from './shell-word.ts';

test('what is printed to be typed is one word, whatever the path', () => {
  const paths = ['/home/me/.local/state', 'a b', "it's", '$HOME/x', 'a;b', '~', '*', '', 'ü'];
  const script = `printf '%s\\n' ${paths.map(shellWord).join(' ')}`;
  expect(spawnSync('sh', ['-c', script], { encoding: 'utf8' }).stdout.split('\n').slice(0, -1)).toEqual(paths);
});

test('plain paths stay readable', () => {
  expect(shellWord('/home/me/.local/state/isthmus/kubeconfig')).toBe('/home/me/.local/state/isthmus/kubeconfig');
});
