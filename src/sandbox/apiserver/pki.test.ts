// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { ensureClusterPki, KUBECONFIG_NAMES } from './pki.ts';

const OPTIONS = {
  clusterName: 'cluster1',
  server: 'https://172.31.0.11:6443',
  addresses: ['172.31.0.11'],
  dnsNames: ['api.cluster1.test'],
};
let dataDir: string;

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'isthmus-pki-'));
});
afterEach(() => rmSync(dataDir, { recursive: true }));

function files(): Map<string, string> {
  const found = new Map<string, string>();
  for (const directory of ['pki', 'kubeconfig']) {
    for (const file of readdirSync(join(dataDir, directory))) {
      found.set(`${directory}/${file}`, readFileSync(join(dataDir, directory, file), 'utf8'));
    }
  }
  return found;
}

function clientCertificate(name: string): X509Certificate {
  const config = parse(readFileSync(join(dataDir, 'kubeconfig', `${name}.yaml`), 'utf8'));
  return new X509Certificate(Buffer.from(config.users[0].user['client-certificate-data'], 'base64'));
}

test('the serving certificate names every way to reach the server, and the CA signed everything', () => {
  const paths = ensureClusterPki(dataDir, OPTIONS);
  const ca = new X509Certificate(readFileSync(paths.caCert));
  const serving = new X509Certificate(readFileSync(paths.servingCert));
  for (const name of ['kubernetes', 'kubernetes.default.svc.cluster.local', 'localhost', 'api.cluster1.test']) {
    expect(serving.checkHost(name), name).toBe(name);
  }
  for (const address of ['127.0.0.1', '10.96.0.1', '172.31.0.11']) expect(serving.checkIP(address)).toBe(address);
  for (const name of KUBECONFIG_NAMES) expect(clientCertificate(name).verify(ca.publicKey), name).toBe(true);
  expect(clientCertificate('admin').subject).toBe('O=system:masters\nCN=admin');
  expect(clientCertificate('node').subject).toBe('O=system:nodes\nCN=system:node:cluster1-node');
});

test('all files are private to the user', () => {
  ensureClusterPki(dataDir, OPTIONS);
  for (const file of files().keys()) expect(statSync(join(dataDir, file)).mode & 0o777, file).toBe(0o600);
  for (const directory of ['pki', 'kubeconfig']) {
    expect(statSync(join(dataDir, directory)).mode & 0o777, directory).toBe(0o700);
  }
});

test('a second call changes nothing', () => {
  ensureClusterPki(dataDir, OPTIONS);
  const before = files();
  ensureClusterPki(dataDir, OPTIONS);
  expect(files()).toEqual(before);
});

test('whatever single file is lost or cut short, the next start is consistent again', () => {
  const paths = ensureClusterPki(dataDir, OPTIONS);
  for (const [file, content] of files()) {
    for (const damage of ['lost', 'cut'] as const) {
      if (damage === 'lost') rmSync(join(dataDir, file));
      else writeFileSync(join(dataDir, file), content.slice(0, 40));
      ensureClusterPki(dataDir, OPTIONS);
      const ca = new X509Certificate(readFileSync(paths.caCert));
      const certs = [paths.servingCert, paths.kubeletCert, paths.kubeletClientCert];
      for (const cert of certs) {
        expect(new X509Certificate(readFileSync(cert)).verify(ca.publicKey), `${file} ${damage}`).toBe(true);
      }
      for (const name of KUBECONFIG_NAMES) expect(clientCertificate(name).verify(ca.publicKey)).toBe(true);
    }
  }
});

test('another address reissues the serving certificate and keeps the CA and the signing key', () => {
  const paths = ensureClusterPki(dataDir, OPTIONS);
  const before = files();
  ensureClusterPki(dataDir, { ...OPTIONS, addresses: ['172.31.0.11', '192.0.2.7'] });
  const after = files();
  expect(new X509Certificate(readFileSync(paths.servingCert)).checkIP('192.0.2.7')).toBe('192.0.2.7');
  for (const kept of ['pki/ca.crt', 'pki/sa.key', 'kubeconfig/admin.yaml']) {
    expect(after.get(kept)).toBe(before.get(kept));
  }
});

test('another server rewrites the kubeconfigs', () => {
  const paths = ensureClusterPki(dataDir, OPTIONS);
  ensureClusterPki(dataDir, { ...OPTIONS, server: 'https://172.31.0.12:6443' });
  expect(parse(readFileSync(paths.kubeconfig.net, 'utf8')).clusters[0].cluster.server).toBe('https://172.31.0.12:6443');
});

test('certificates near their end are issued anew by the same CA', () => {
  const paths = ensureClusterPki(dataDir, OPTIONS);
  const before = files();
  ensureClusterPki(dataDir, { ...OPTIONS, now: new Date(Date.now() + 340 * 24 * 3600 * 1000) });
  expect(files().get('pki/ca.crt')).toBe(before.get('pki/ca.crt'));
  expect(readFileSync(paths.servingCert, 'utf8')).not.toBe(before.get('pki/apiserver.crt'));
});
