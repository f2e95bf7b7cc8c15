// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { makeIntermediate, makeRoot } from '../identity/ca-material.ts';
import { findPublicCa } from './public-cas.ts';

const nowMs = Date.UTC(2030, 0, 1);
const root = makeRoot({ organization: 'Everybody', commonName: 'Root', days: 10, nowMs });
const files = makeIntermediate(root, { organization: 'Mine', commonName: 'CA', days: 10, nowMs });
const known = new Set([new X509Certificate(root.certPem).fingerprint256.replaceAll(':', '').toLowerCase()]);

test('a CA below a root that everybody knows is found by any of its files, whatever stands around the certificates', () => {
  expect(findPublicCa([`# by openssl\n${files['cert-chain.pem']}`], known)).toBe('O=Everybody, CN=Root');
  expect(findPublicCa(['', 'no certificate', files['root-cert.pem']], known)).toBe('O=Everybody, CN=Root');
});

test('one’s own is not, and what cannot be read is for others to report', () => {
  const damaged = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
  expect(findPublicCa([damaged, files['ca-cert.pem']], known)).toBeUndefined();
  expect(findPublicCa([files['cert-chain.pem']])).toBeUndefined();
});
