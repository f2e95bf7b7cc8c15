// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeEach, expect, test } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { RegistryFiles } from './registry-files.ts';

const dir = mkdtempSync(join(tmpdir(), 'isthmus-files-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
let lines: string[];
let files: RegistryFiles;

beforeEach(() => {
  lines = [];
  files = new RegistryFiles(dir, pino({}, { write: (line: string) => lines.push(line) }));
});

const pod: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'b' } };

test('what was saved is there again, with the time at which it was last true', async () => {
  await files.save('n2', [pod]);
  await files.confirm('n2', 1_700_000_000_000);
  expect(await files.load('n2')).toEqual({ objects: [pod], atMs: 1_700_000_000_000 });
  expect(await files.load('n3')).toBeUndefined();
  expect(lines).toEqual([]);
});

test('a file that is cut off, of another version or of other kinds is told, and not used', async () => {
  const rule = { ...pod, apiVersion: 'networking.istio.io/v1', kind: 'Gateway' };
  for (const text of [
    '{"format":1,"objects":[',
    '{"format":2,"objects":[]}',
    JSON.stringify({ format: 1, objects: [rule] }),
  ]) {
    lines = [];
    writeFileSync(join(dir, 'n2.registry.json'), text);
    expect(await files.load('n2')).toBeUndefined();
    expect(lines.join()).toContain('cannot be used');
  }
});

test('a write that was broken off leaves what was there, and the next one goes on', async () => {
  await files.save('n2', [pod]);
  writeFileSync(join(dir, 'n2.registry.json.new'), 'half');
  expect((await files.load('n2'))?.objects).toEqual([pod]);
  await files.save('n2', []);
  expect((await files.load('n2'))?.objects).toEqual([]);
});

test('files of clusters that nobody names any more go', async () => {
  await files.save('n3', [pod]);
  await files.keepOnly(new Set(['n3']));
  expect(readdirSync(dir).filter((name) => name.endsWith('.json'))).toEqual(['n3.registry.json']);
});

test('a disk that takes nothing is told once, and ends nothing', async () => {
  const broken = new RegistryFiles(join(dir, 'n3.registry.json'), pino({}, { write: (line) => lines.push(line) }));
  await broken.save('n2', [pod]);
  await broken.save('n2', [pod]);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('a restart begins without it');
});
