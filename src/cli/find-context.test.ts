// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readTarget } from './install-target.ts';

test('a context that the kubeconfig has not is a wrong call, and the nearest one is named', () => {
  const dir = mkdtempSync(join(tmpdir(), 'contexts-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(
    kubeconfig,
    JSON.stringify({ contexts: ['cluster1', 'cluster2'].map((name) => ({ name, context: { cluster: name } })) }),
  );
  expect(() => readTarget({ kubeconfig, context: 'clster2' })).toThrow(
    expect.objectContaining({
      exitCode: 2,
      message: 'there is no context clster2: did you mean cluster2? The kubeconfig has cluster1, cluster2',
    }),
  );
});
