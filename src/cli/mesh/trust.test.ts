// SPDX-License-Identifier: Apache-2.0
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { CA_FILE_NAMES, type CaFiles, checkCa, makeIntermediate, makeRoot } from '../../identity/ca-material.ts';
import type { KubeObject } from '../../kube/types.ts';
import { UserError } from '../user-error.ts';
import { parseMesh } from './mesh-file.ts';
import { planTrust, type Trust } from './trust.ts';

const NOW_MS = Date.parse('2026-11-22T12:00:00Z');
const dirs: string[] = [];
afterAll(() => {
  for (const dir of dirs) rmSync(dir, { recursive: true, force: true });
});

function newDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-trust-'));
  dirs.push(dir);
  return dir;
}

function meshIn(dir: string, trust = '{}') {
  const text = `apiVersion: isthmus.io/v1alpha1\nkind: Mesh\nmetadata: {name: shop}\nspec:\n  trust: ${trust}\n  clusters: [{name: a}, {name: b}]\n`;
  return parseMesh(text, 'mesh.yaml', dir);
}

function plan(dir: string, existing: Record<string, KubeObject | undefined>, trust?: string): Trust {
  return planTrust(meshIn(dir, trust), new Map(Object.entries(existing)), NOW_MS);
}

function filesOf(secret: KubeObject): CaFiles {
  const data = secret['data'] as Record<string, string>;
  return Object.fromEntries(
    CA_FILE_NAMES.map((file) => [file, Buffer.from(data[file] ?? '', 'base64').toString()]),
  ) as unknown as CaFiles;
}

function secretOf(files: CaFiles): KubeObject {
  const data = Object.fromEntries(CA_FILE_NAMES.map((file) => [file, Buffer.from(files[file]).toString('base64')]));
  return { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts' }, data };
}

const newCa = (commonName: string) => ({ organization: 'Test', commonName, days: 10, nowMs: NOW_MS });

function mistake(trust: Trust, cluster: string): string {
  const found = trust.plans.get(cluster);
  return found instanceof UserError ? found.message : `${JSON.stringify(found)}`;
}

describe('a root made here', () => {
  it('is made once, and signs an intermediate for each cluster, whose key is nowhere else', () => {
    const dir = newDir();
    const first = plan(dir, { a: undefined, b: undefined });
    expect([first.makesRoot, existsSync(join(dir, 'mesh-ca'))]).toEqual([true, false]);
    const [a, b] = ['a', 'b'].map((name) => filesOf(first.secretFor(name)));
    for (const files of [a!, b!]) checkCa(files, NOW_MS);
    expect(a!['root-cert.pem']).toBe(b!['root-cert.pem']);
    expect(a!['ca-key.pem']).not.toBe(b!['ca-key.pem']);
    expect(statSync(join(dir, 'mesh-ca/root-key.pem')).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(dir, 'mesh-ca/.gitignore'), 'utf8')).toBe('*\n');
    const second = plan(dir, { a: secretOf(a!), b: undefined });
    expect(second.makesRoot).toBe(false);
    expect([mistake(second, 'a'), mistake(second, 'b')]).toEqual([
      '{"kind":"keep"}',
      '{"kind":"make","isReplaced":false}',
    ]);
    expect(filesOf(second.secretFor('b'))['root-cert.pem']).toBe(a!['root-cert.pem']);
  });

  it('is not needed, and not made, where every cluster has its CA', () => {
    const root = makeRoot(newCa('root'));
    const existing = {
      a: secretOf(makeIntermediate(root, newCa('a'))),
      b: secretOf(makeIntermediate(root, newCa('b'))),
    };
    const dir = newDir();
    const trust = plan(dir, existing);
    expect([trust.makesRoot, mistake(trust, 'a'), mistake(trust, 'b')]).toEqual([
      false,
      '{"kind":"keep"}',
      '{"kind":"keep"}',
    ]);
    expect(existsSync(join(dir, 'mesh-ca'))).toBe(false);
  });

  it('is asked for where another cluster needs it and it, or its key, is not here', () => {
    const root = makeRoot(newCa('root'));
    const a = secretOf(makeIntermediate(root, newCa('a')));
    const dir = newDir();
    const without = plan(dir, { a, b: undefined });
    expect(without.makesRoot).toBe(false);
    expect(mistake(without, 'b')).toMatch(
      /cluster b needs an intermediate of the root that cluster a has \(SHA-256 .*\), and that root is not here: put its root-cert.pem and root-key.pem into .*mesh-ca/,
    );
    mkdirSync(join(dir, 'mesh-ca'));
    writeFileSync(join(dir, 'mesh-ca/root-cert.pem'), root.certPem);
    expect(mistake(plan(dir, { a, b: undefined }), 'b')).toContain('root-key.pem is not there: put it back');
  });

  it('of another make is told with both fingerprints, for that cluster alone', () => {
    const [one, two] = [makeRoot(newCa('one')), makeRoot(newCa('two'))];
    const trust = plan(newDir(), {
      a: secretOf(makeIntermediate(one, newCa('a'))),
      b: secretOf(makeIntermediate(two, newCa('b'))),
    });
    expect(mistake(trust, 'a')).toBe('{"kind":"keep"}');
    expect(mistake(trust, 'b')).toMatch(
      /Secret istio-system\/cacerts of cluster b has another root \(SHA-256 .*\) than cluster a/,
    );
  });

  it('that has ended is told', () => {
    const longAgo = { nowMs: NOW_MS - 30 * 86_400_000 };
    const root = makeRoot({ ...newCa('root'), ...longAgo });
    const trust = plan(newDir(), { a: secretOf(makeIntermediate(root, { ...newCa('a'), ...longAgo })) });
    expect(mistake(trust, 'a')).toMatch(/cannot be used: .* expired on 2026-11-02/);
  });
});

describe('a CA of the user', () => {
  it('in files is taken as it is, and compared', () => {
    const dir = newDir();
    const root = makeRoot(newCa('root'));
    for (const name of ['a', 'b']) {
      mkdirSync(join(dir, 'ca', name), { recursive: true });
      const files = makeIntermediate(root, newCa(name));
      for (const file of CA_FILE_NAMES) writeFileSync(join(dir, 'ca', name, file), files[file]);
    }
    const trust = plan(
      dir,
      { a: undefined, b: secretOf(makeIntermediate(root, newCa('older'))) },
      '{ca: files, directory: ca}',
    );
    expect([mistake(trust, 'a'), mistake(trust, 'b')]).toEqual([
      '{"kind":"make","isReplaced":false}',
      '{"kind":"make","isReplaced":true}',
    ]);
    expect(filesOf(trust.secretFor('a'))['ca-cert.pem']).toBe(readFileSync(join(dir, 'ca/a/ca-cert.pem'), 'utf8'));
    rmSync(join(dir, 'ca/b/ca-key.pem'));
    expect(mistake(plan(dir, { a: undefined, b: undefined }, '{ca: files, directory: ca}'), 'b')).toContain(
      'has no ca-key.pem',
    );
  });

  it('in Secrets has to be there, with one root', () => {
    const [one, two] = [makeRoot(newCa('one')), makeRoot(newCa('two'))];
    const a = secretOf(makeIntermediate(one, newCa('a')));
    const trust = plan(newDir(), { a, b: undefined }, '{ca: secrets}');
    expect([mistake(trust, 'a'), mistake(trust, 'b')]).toEqual([
      '{"kind":"keep"}',
      expect.stringContaining('cluster b: it is not there'),
    ]);
    const other = secretOf(makeIntermediate(two, newCa('b')));
    expect(() => plan(newDir(), { a, b: other }, '{ca: secrets}')).toThrow(
      /cluster a and Secret .* of cluster b hold different roots/,
    );
  });
});
