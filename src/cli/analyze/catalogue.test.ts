// SPDX-License-Identifier: Apache-2.0
// Every code of the catalogue has a case: scenarios/diagnostics/analyze/CODE (bad.yaml says it, good.yaml does not), a golden of
// another scenario, or a test of what only runs.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { DIAGNOSTICS } from '../../api/diagnostics.ts';
import { type KubeClient, KubeError } from '../../kube/client.ts';
import { readClusterObjects, readObjectFiles } from './collect.ts';
import { judgeObjects, type Remark } from './judge.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const CASES = join(root, 'scenarios/diagnostics/analyze');
const cases = readdirSync(CASES).sort();
/** The key of a CA that everybody knows is no part of this repository; src/pki/ knows the CA by its certificate. */
const UNSHOWN = ['ISM0316'];

const analyze = async (file: string): Promise<Remark[]> => judgeObjects(await readObjectFiles([join(CASES, file)]));

describe.each(cases)('%s', (code) => {
  test('is said of bad.yaml, and not of good.yaml, which is taken', async () => {
    expect((await analyze(`${code}/bad.yaml`)).map((remark) => remark.code)).toContain(code);
    const good = await analyze(`${code}/good.yaml`);
    expect(good.map((remark) => remark.code)).not.toContain(code);
    expect(good.filter(({ code: other }) => other.startsWith('ISM00') && other !== 'ISM0005')).toEqual([]);
  });
});

test('every code is shown by some case or test', () => {
  const files = ['scenarios', 'src', 'test'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /(diagnostics\.yaml|\.test\.ts)$/.test(file) && !file.endsWith('catalogue.test.ts'))
      .map((file) => readFileSync(join(root, folder, file), 'utf8')),
  );
  const shown = `${files.join('\n')} ISM0301`;
  const missing = Object.keys(DIAGNOSTICS).filter((code) => !cases.includes(code) && !shown.includes(code));
  expect(missing).toEqual(UNSHOWN);
});

test('a cluster without the kinds of the mesh is told by each of them', async () => {
  const list = async () => {
    throw new KubeError(404, 'NotFound', 'the server could not find the requested resource');
  };
  const { diagnostics } = await readClusterObjects({ list } as unknown as KubeClient);
  expect(diagnostics.map(({ code, object }) => `${code} ${object.name}`)).toContain(
    'ISM0301 virtualservices.networking.istio.io',
  );
});

test('what is said has the line of its field', async () => {
  expect((await analyze('ISM0417/bad.yaml')).find(({ code }) => code === 'ISM0417')?.line).toBe(4);
});
