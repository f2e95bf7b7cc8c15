// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import { expect, test } from 'vitest';
import { makeRoot } from '../../identity/ca-material.ts';
import { compareRoots, readRoots, type TrustedRoots } from './roots.ts';

const source = { apiVersion: 'v1', kind: 'ConfigMap', namespace: 'istio-system', name: 'istio-ca-root-cert' };
const pem = (commonName: string) => makeRoot({ organization: 'test', commonName, days: 10, nowMs: Date.now() }).certPem;
const [one, two] = [pem('one'), pem('two')];
const roots = (cluster: string, text: string): TrustedRoots => readRoots(cluster, source, text)!;
const fingerprint = (text: string) => new X509Certificate(text).fingerprint256;

test('clusters with different roots are told with both fingerprints', () => {
  const [remark, ...more] = compareRoots([roots('c1', one), roots('c2', two), roots('c3', one)]);
  expect(more).toEqual([]);
  expect(remark).toMatchObject({ code: 'ISM0312', severity: 'error', object: { ...source, cluster: 'c2' } });
  expect(remark?.message).toContain('c2 and c1 have different roots');
  expect(remark?.message).toContain(fingerprint(one));
  expect(remark?.message).toContain(fingerprint(two));
});

test('one root in common is enough, as while roots are exchanged', () => {
  expect(compareRoots([roots('c1', one), roots('c2', `${two}${one}`)])).toEqual([]);
  expect(compareRoots([roots('c1', one)])).toEqual([]);
  expect(compareRoots([])).toEqual([]);
});

test('what holds no certificate is told elsewhere', () => {
  expect(readRoots('c1', source, 'nothing')).toBeUndefined();
});
