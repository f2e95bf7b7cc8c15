// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { type CaFiles, makeIntermediate, makeRoot } from '../../identity/ca-material.ts';
import { judgeFileSecrets } from './file-secrets.ts';

const DAY_MS = 24 * 3_600_000;
const nowMs = Date.now();
const ca = (commonName: string, days = 100) => ({ organization: 'test', commonName, days, nowMs });
const root = makeRoot(ca('root', 3_650));
const sound = makeIntermediate(root, ca('first'));
const other = makeIntermediate(root, ca('second'));

function said(files: Partial<CaFiles>, atMs = nowMs): string[] {
  const metadata = { name: 'cacerts', namespace: 'istio-system' };
  const object = { apiVersion: 'v1', kind: 'Secret', metadata, stringData: files };
  return judgeFileSecrets([{ object, file: 'cacerts.yaml', locate: () => 5 }], atMs).map(
    ({ code, file, line, message }) => `${code} ${file}:${line} ${message}`,
  );
}

test('files that belong together are nothing to remark on, and neither is a chain in another order', () => {
  expect(said(sound)).toEqual([]);
  const [intermediate, top] = sound['cert-chain.pem'].split(/(?<=-----END CERTIFICATE-----\n)/);
  expect(said({ ...sound, 'cert-chain.pem': `${top}${intermediate}` })).toEqual([]);
});

test.each<[string, Partial<CaFiles>, RegExp]>([
  [
    'the key of another',
    { ...sound, 'ca-key.pem': other['ca-key.pem'] },
    /ca-key\.pem does not belong to ca-cert\.pem/,
  ],
  ['a root that did not issue it', { ...sound, 'root-cert.pem': makeRoot(ca('else')).certPem }, /root-cert\.pem/],
  ['no root', { ...sound, 'root-cert.pem': '' }, /root-cert\.pem holds no certificate/],
  ['a file too few', { 'ca-cert.pem': sound['ca-cert.pem'] }, /lacks ca-key\.pem, root-cert\.pem, cert-chain\.pem/],
  ['a certificate cut short', { ...sound, 'ca-cert.pem': sound['ca-cert.pem'].slice(0, 200) }, /ca-cert\.pem/],
])('%s cannot be used', (_, files, message) => {
  expect(said(files)).toEqual([expect.stringMatching(message)]);
  expect(said(files)[0]).toMatch(/^ISM0304 cacerts\.yaml:5 /);
});

test('an intermediate that ends soon is told with its days', () => {
  expect(said(sound, nowMs + 80.5 * DAY_MS)).toEqual([
    expect.stringMatching(/^ISM0303 .*CN=first ends in 19 days, on /),
  ]);
});

test.each([[[1, 2]], ['text'], [7], [{ 'ca-cert.pem': 7 }], [null]])(
  'data of another shape (%j) is nothing',
  (data) => {
    const metadata = { name: 'cacerts', namespace: 'istio-system', labels: { 'istio/multiCluster': 'true' } };
    const told = judgeFileSecrets([{ object: { apiVersion: 'v1', kind: 'Secret', metadata, data } }], nowMs);
    expect(told.map(({ code }) => code)).toEqual(['ISM0309', 'ISM0304']);
  },
);
