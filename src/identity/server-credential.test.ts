// SPDX-License-Identifier: Apache-2.0
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { generateKeyPair, issueCertificate, type KeyPair, privateKeyPem } from '../pki/x509.ts';
import { CredentialFault, readClientRoots, readServerCertificate } from './server-credential.ts';

const NOT_AFTER = new Date('2030-01-01T00:00:00Z');

function selfSigned(keys: KeyPair = generateKeyPair()) {
  const pem = issueCertificate({
    subject: { commonName: 'shop.example' },
    publicKey: keys.publicKey,
    selfKey: keys.privateKey,
    notBefore: new Date('2020-01-01T00:00:00Z'),
    notAfter: NOT_AFTER,
  });
  return { pem, key: privateKeyPem(keys.privateKey) };
}

const base64 = (values: Record<string, string>) =>
  Object.fromEntries(Object.entries(values).map(([name, text]) => [name, Buffer.from(text).toString('base64')]));

function faultOf(read: () => unknown): string {
  try {
    read();
    return 'none';
  } catch (error) {
    if (error instanceof CredentialFault) return error.message;
    throw error;
  }
}

const own = selfSigned();

describe('a server’s certificate', () => {
  test.each([
    ['kubernetes.io/tls', 'tls.crt', 'tls.key'],
    ['generic', 'cert', 'key'],
  ])('%s', (_, cert, key) => {
    const read = readServerCertificate(base64({ [cert]: own.pem, [key]: own.key }));
    expect(read).toEqual({ chain: own.pem, key: own.key, notAfterMs: NOT_AFTER.getTime() });
  });

  test('an OCSP response goes along', () => {
    const data = { ...base64({ 'tls.crt': own.pem, 'tls.key': own.key }), 'tls.ocsp-staple': 'MAA=' };
    expect(readServerCertificate(data).staple).toEqual(Buffer.from([0x30, 0]));
  });

  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const locked = generateKeyPair().privateKey.export({
    type: 'pkcs8',
    format: 'pem',
    cipher: 'aes-256-cbc',
    passphrase: 'p',
  });
  test.each<[string, Record<string, string>, string]>([
    ['empty', {}, 'it has no tls.crt; it is empty'],
    ['another kind of Secret', { username: 'x' }, 'it has no tls.crt; its keys are username'],
    ['without a key', { 'tls.crt': own.pem }, 'it has no tls.key; its keys are tls.crt'],
    ['with an empty key', { 'tls.crt': own.pem, 'tls.key': '' }, 'its tls.key is empty'],
    ['no PEM', { 'tls.crt': 'hello', 'tls.key': own.key }, 'tls.crt holds no certificate in PEM'],
    [
      'a spoiled certificate',
      { 'tls.crt': own.pem.replace(/MI.{20}/, 'MIxx'), 'tls.key': own.key },
      'tls.crt holds a certificate that cannot be read',
    ],
    ['a certificate for a key', { 'tls.crt': own.pem, 'tls.key': own.pem }, 'tls.key holds no private key in PEM'],
    [
      'another key',
      { 'tls.crt': own.pem, 'tls.key': selfSigned().key },
      'tls.key is not the key of the certificate in tls.crt',
    ],
    ['a locked key', { 'tls.crt': own.pem, 'tls.key': locked.toString() }, 'tls.key is locked by a passphrase'],
    [
      'a weak key',
      { 'tls.crt': own.pem, 'tls.key': privateKeyPem(weak.privateKey) },
      'tls.key is of a kind that Envoy refuses',
    ],
  ])('%s', (_, values, fault) => {
    const said = faultOf(() => readServerCertificate(base64(values)));
    expect(said).toBe(fault);
  });

  test('no fault tells anything of the key', () => {
    const said = faultOf(() => readServerCertificate(base64({ 'tls.crt': own.pem, 'tls.key': selfSigned().key })));
    expect(said).not.toMatch(/BEGIN|[A-Za-z0-9+/]{20}/);
  });
});

describe('the roots of clients', () => {
  const crl = '-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n';

  test.each([
    ['kubernetes.io/tls', 'ca.crt', 'ca.crl'],
    ['generic', 'cacert', 'crl'],
  ])('%s', (_, roots, list) => {
    expect(readClientRoots(base64({ [roots]: own.pem }))).toEqual({ roots: own.pem });
    expect(readClientRoots(base64({ [roots]: own.pem, [list]: crl }))).toEqual({ roots: own.pem, crl });
  });

  test.each<[string, Record<string, string>, string]>([
    ['none', { 'tls.crt': own.pem }, 'it has neither ca.crt nor cacert; its keys are tls.crt'],
    ['no PEM', { 'ca.crt': 'x' }, 'ca.crt holds no certificate in PEM'],
    ['no list', { 'ca.crt': own.pem, 'ca.crl': 'x' }, 'ca.crl is no list of revoked certificates in PEM'],
  ])('%s', (_, values, fault) => {
    expect(faultOf(() => readClientRoots(base64(values)))).toBe(fault);
  });
});
