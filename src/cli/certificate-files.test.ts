// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type CertificateOptions, type CertificateReport, writeCertificates } from './certificate-files.ts';

const DAY_MS = 24 * 3600_000;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'isthmus-certs-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

function write(change: Partial<CertificateOptions> = {}) {
  const report = writeCertificates({
    dir,
    clusters: ['cluster1', 'cluster2'],
    organization: 'Test',
    days: 10,
    renew: false,
    newRoot: false,
    nowMs: Date.now(),
    ...change,
  });
  return [report.root.state, ...report.intermediates.map((each) => each.state)];
}
const read = (path: string) => readFileSync(join(dir, path), 'utf8');
const certificate = (path: string) => new X509Certificate(read(path));

describe('writeCertificates', () => {
  it('makes a root and different intermediates below it, with keys for the owner only', () => {
    expect(write()).toEqual(['made', 'made', 'made', 'made']);
    const root = certificate('root-cert.pem');
    const made = ['ca-cert.pem', 'cluster1/ca-cert.pem', 'cluster2/ca-cert.pem'].map(certificate);
    for (const each of made) expect(each.verify(root.publicKey)).toBe(true);
    expect(new Set(made.map((each) => each.fingerprint256)).size).toBe(3);
    expect(read('cluster1/root-cert.pem')).toBe(read('root-cert.pem'));
    const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.pem'));
    expect(files).toHaveLength(5 + 4 + 4);
    for (const file of files) {
      expect([file, statSync(join(dir, file)).mode & 0o777]).toEqual([file, file.endsWith('key.pem') ? 0o600 : 0o644]);
    }
  });

  it('keeps what is there, and adds what is missing', () => {
    write();
    const before = read('cluster1/ca-cert.pem');
    expect(write({ clusters: ['cluster1', 'cluster3'] })).toEqual(['kept', 'kept', 'kept', 'made']);
    expect(read('cluster1/ca-cert.pem')).toBe(before);
  });

  it('renews the intermediates, or everything, when told to', () => {
    write();
    const root = read('root-cert.pem');
    expect(write({ renew: true })).toEqual(['kept', 'made', 'made', 'made']);
    expect(read('root-cert.pem')).toBe(root);
    expect(write({ newRoot: true })).toEqual(['made', 'made', 'made', 'made']);
    expect(read('cluster2/root-cert.pem')).not.toBe(root);
  });

  it('says what to do about a lost key, an expired root, a foreign intermediate, a bad name', () => {
    write();
    expect(() => write({ nowMs: Date.now() + 11 * DAY_MS })).toThrow(/expired.*--new-root makes it anew/);
    const old = dir;
    dir = mkdtempSync(join(tmpdir(), 'isthmus-certs-'));
    write({ clusters: [] });
    expect(() => write({ clusters: ['../x'] })).toThrow(/no name for a cluster/);
    rmSync(join(dir, 'root-key.pem'));
    expect(() => write()).toThrow(/root-key\.pem is not/);
    expect(() =>
      writeCertificates({
        dir: old,
        clusters: ['a'],
        organization: 'T',
        days: 1,
        renew: false,
        newRoot: false,
        nowMs: 0,
      }),
    ).toThrow(/clock/);
    rmSync(old, { recursive: true });
  });

  it('says where it cannot write', () => {
    writeFileSync(join(dir, 'file'), '');
    expect(() => write({ dir: join(dir, 'file') })).toThrow(/file.*cannot be read or written \(E.*--out/);
  });
});

describe('isthmus certs', () => {
  const run = (...args: string[]) => {
    const main = new URL('main.ts', import.meta.url).pathname;
    return spawnSync(process.execPath, [main, 'certs', ...args], { cwd: dir, encoding: 'utf8' });
  };

  it('tells scripts and people what it made, and never a key', () => {
    const json = run('--out', 'ca', '--clusters', 'east,west', '-o', 'json');
    const report = JSON.parse(json.stdout) as CertificateReport;
    expect(report.intermediates.map((each) => [each.cluster, each.dir, each.state])).toEqual([
      [undefined, 'ca', 'made'],
      ['east', 'ca/east', 'made'],
      ['west', 'ca/west', 'made'],
    ]);
    const text = run('--out', 'ca', '--clusters', 'east,west');
    expect(text.stdout).toMatch(/^kept {2}root/m);
    expect(text.stdout).toContain('kubectl --context=east create secret generic cacerts -n istio-system');
    expect(json.stdout + text.stdout).not.toContain('PRIVATE KEY');
  });

  it('exits 2 when called wrongly', () => {
    for (const args of [
      ['--clusters', '../x'],
      ['--clusters', 'a,,b'],
      ['--days', '0'],
      ['-o', 'xml'],
      ['--nonsense'],
    ]) {
      expect([args, run(...args).status]).toEqual([args, 2]);
    }
    expect(readdirSync(dir)).toEqual([]);
  });
});
