// SPDX-License-Identifier: Apache-2.0
import { execFileSync, spawnSync } from 'node:child_process';
import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type CertificateRequest, generateKeyPair, issueCertificate, privateKeyPem } from './x509.ts';

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;
const notBefore = new Date(Date.now() - 60_000);
const notAfter = new Date(Date.now() + 3600_000);

interface Authority {
  certPem: string;
  key: KeyObject;
}

function makeRoot(key = generateKeyPair(), extra: Partial<CertificateRequest> = {}): Authority {
  const certPem = issueCertificate({
    subject: { organization: 'Isthmus', commonName: 'Root' },
    publicKey: key.publicKey,
    selfKey: key.privateKey,
    isCa: true,
    notBefore,
    notAfter,
    ...extra,
  });
  return { certPem, key: key.privateKey };
}

function makeIntermediate(issuer: Authority, pathLength?: number): Authority {
  const key = generateKeyPair();
  const certPem = issueCertificate({
    // A name of its own: a chain of equal names counts as self-issued and escapes the path length.
    subject: { commonName: `Intermediate below ${new X509Certificate(issuer.certPem).subject.slice(-20)}` },
    publicKey: key.publicKey,
    issuer,
    isCa: true,
    ...(pathLength === undefined ? {} : { pathLength }),
    notBefore,
    notAfter,
  });
  return { certPem, key: key.privateKey };
}

function makeLeaf(issuer: Authority, extra: Partial<CertificateRequest> = {}): string {
  return issueCertificate({
    subject: {},
    publicKey: generateKeyPair().publicKey,
    issuer,
    uris: ['spiffe://cluster.local/ns/default/sa/sleep'],
    usages: ['serverAuth', 'clientAuth'],
    notBefore,
    notAfter,
    ...extra,
  });
}

function opensslVerify(root: string, intermediates: string[], leaf: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-x509-'));
  try {
    writeFileSync(join(dir, 'root.pem'), root);
    writeFileSync(join(dir, 'chain.pem'), intermediates.join(''));
    writeFileSync(join(dir, 'leaf.pem'), leaf);
    const chain = intermediates.length > 0 ? ['-untrusted', 'chain.pem'] : [];
    const args = ['verify', '-x509_strict', '-CAfile', 'root.pem', ...chain, 'leaf.pem'];
    const result = spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' });
    return result.status === 0 ? 'OK' : `${result.stdout}${result.stderr}`;
  } finally {
    rmSync(dir, { recursive: true });
  }
}

describe('issueCertificate', () => {
  it('makes a self-signed root that node reads and verifies', () => {
    const root = new X509Certificate(makeRoot().certPem);
    expect(root.ca).toBe(true);
    expect(root.verify(root.publicKey)).toBe(true);
    expect(root.subject).toBe('O=Isthmus\nCN=Root');
    expect(root.checkIssued(root)).toBe(true);
  });

  it('makes a leaf whose names node reads', () => {
    const root = makeRoot();
    const leaf = new X509Certificate(
      makeLeaf(root, {
        subject: { commonName: 'kube', organization: ['system:masters', 'b'] },
        dnsNames: ['kubernetes.default.svc', '*.x.test'],
        ipAddresses: ['10.96.0.1', '::1', 'fd00:1::2', '::ffff:10.0.0.1'],
      }),
    );
    expect(leaf.subjectAltName).toBe(
      'DNS:kubernetes.default.svc, DNS:*.x.test, IP Address:10.96.0.1, IP Address:0:0:0:0:0:0:0:1, ' +
        'IP Address:FD00:1:0:0:0:0:0:2, IP Address:0:0:0:0:0:FFFF:A00:1, URI:spiffe://cluster.local/ns/default/sa/sleep',
    );
    expect(leaf.subject).toBe('O=system:masters\nO=b\nCN=kube');
    expect(leaf.checkIssued(new X509Certificate(root.certPem))).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    expect(Math.abs(leaf.validToDate.getTime() - notAfter.getTime())).toBeLessThan(1000);
  });

  it('gives each certificate a positive serial of 16 bytes of its own', () => {
    const root = makeRoot();
    const serials = Array.from({ length: 50 }, () => new X509Certificate(makeLeaf(root)).serialNumber);
    expect(new Set(serials).size).toBe(50);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9A-F]{31}$/);
  });

  it('writes years past 2049 so that they are read back', () => {
    const far = new Date('2061-02-03T04:05:06Z');
    const root = new X509Certificate(makeRoot(undefined, { notAfter: far }).certPem);
    expect(root.validToDate.toISOString()).toBe(far.toISOString());
  });

  it('refuses what would make no sense', () => {
    const key = generateKeyPair();
    const request = { subject: { commonName: 'x' }, publicKey: key.publicKey, notBefore, notAfter };
    expect(() => issueCertificate(request)).toThrow(/selfKey/);
    expect(() => makeRoot(key, { notAfter: notBefore })).toThrow(/notBefore/);
    expect(() => makeRoot(key, { subject: {} })).toThrow(/subject/);
    expect(() => makeRoot(key, { ipAddresses: ['10.0.0'] })).toThrow(/no IP address/);
    expect(() => makeRoot(key, { dnsNames: ['bücher.example'] })).toThrow(/not ASCII/);
    const ed25519 = generateKeyPairSync('ed25519');
    expect(() => makeRoot(ed25519)).toThrow(/ed25519 is not supported/);
  });

  it('exports a private key that matches', () => {
    const key = generateKeyPair();
    const root = new X509Certificate(makeRoot(key).certPem);
    expect(privateKeyPem(key.privateKey)).toContain('BEGIN PRIVATE KEY');
    expect(root.checkPrivateKey(key.privateKey)).toBe(true);
  });
});

describe.skipIf(!hasOpenssl)('openssl (skipped when it is not on PATH)', () => {
  it('verifies chains strictly, for EC and RSA roots', () => {
    const keys = [generateKeyPair(), generateKeyPairSync('rsa', { modulusLength: 2048 })];
    for (const key of keys) {
      const root = makeRoot(key);
      const middle = makeIntermediate(root, 0);
      expect(opensslVerify(root.certPem, [middle.certPem], makeLeaf(middle))).toBe('OK');
      expect(opensslVerify(root.certPem, [], makeLeaf(root, { subject: { commonName: 'a' } }))).toBe('OK');
    }
  });

  it('sees the path length and a foreign root', () => {
    const root = makeRoot();
    const middle = makeIntermediate(root, 0);
    const tooDeep = makeIntermediate(middle);
    expect(opensslVerify(root.certPem, [middle.certPem, tooDeep.certPem], makeLeaf(tooDeep))).toMatch(/path length/);
    expect(opensslVerify(makeRoot().certPem, [middle.certPem], makeLeaf(middle))).not.toBe('OK');
  });

  it('copies the subject and key id of an issuer that openssl made', () => {
    const dir = mkdtempSync(join(tmpdir(), 'isthmus-x509-'));
    try {
      const make = 'req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 2 -subj /O=Acme/OU=Ops/CN=Acme';
      execFileSync('openssl', [...make.split(' '), '-addext', 'keyUsage=critical,keyCertSign'], {
        cwd: dir,
        stdio: 'ignore',
      });
      const key = readFileSync(join(dir, 'k.pem'), 'utf8');
      const certPem = readFileSync(join(dir, 'c.pem'), 'utf8');
      const leaf = makeLeaf({ certPem, key: createPrivateKey(key) });
      expect(new X509Certificate(leaf).checkIssued(new X509Certificate(certPem))).toBe(true);
      expect(opensslVerify(certPem, [], leaf)).toBe('OK');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('shows the extensions as critical where they must be', () => {
    const text = spawnSync('openssl', ['x509', '-noout', '-text'], {
      input: makeLeaf(makeRoot()),
      encoding: 'utf8',
    }).stdout;
    expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE/);
    expect(text).toMatch(/Key Usage: critical\s+Digital Signature/);
    expect(text).toMatch(/Subject Alternative Name: critical\s+URI:spiffe/);
    expect(text).toMatch(/Authority Key Identifier/);
  });
});
