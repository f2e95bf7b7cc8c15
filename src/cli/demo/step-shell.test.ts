// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { StepShell } from './step-shell.ts';

let dir: string;
let abort: AbortController;
let shell: StepShell;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-shell-'));
  abort = new AbortController();
  shell = new StepShell(dir, '000', join(dir, 'kubeconfig'), abort.signal);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const run = (script: string): Promise<string> => shell.run(script, () => {});

test('a line has the variables of those before, exported or not, and the project’s files', async () => {
  await run('export A=1; B="two words"');
  expect(await run('echo "$A $B"; ls samples/sleep; command -v istioctl')).toBe(
    `1 two words\nsleep.yaml\n${join(dir, 'bin/istioctl')}\n`,
  );
});

test('a step is found by its number and told by its name', async () => {
  const names: string[] = [];
  await shell.run(2, (name) => names.push(name));
  expect(names).toEqual(['02-name-contexts.sh']);
  expect(await run('echo $CTX_CLUSTER2')).toBe('cluster2\n');
});

test('a failing line ends its step, which is named with what it said', async () => {
  await expect(run('true\n(echo broken; exit 3) | cat\necho not reached > after')).rejects.toThrow(
    'true failed (exit code 3):\nbroken',
  );
  expect(existsSync(join(dir, 'after'))).toBe(false);
});

test('an abort ends what the line has started', async () => {
  const running = run('sleep 60 & wait');
  const reason = new Error('stopped');
  abort.abort(reason);
  await expect(running).rejects.toBe(reason);
});
