// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { readClaims } from './claims.ts';

const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUYyyrwOZsKyo4g1pe3RtOP2yXp6IwCgYIKoZIzj0EAwIw
-----END CERTIFICATE-----`;

/** Parsed far enough to be refused for its certificate alone, or for its exec plugin too. */
function kubeconfig(user: string): string {
  const data = Buffer.from(CERTIFICATE).toString('base64');
  return `clusters: [{name: c, cluster: {server: "https://a:1", certificate-authority-data: ${data}}}]
contexts: [{name: c, context: {cluster: c, user: c}}]
users: [{name: c, user: {${user}}}]
`;
}

function secret(name: string, created: string, data: Record<string, string>): KubeObject {
  const encoded = Object.entries(data).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name, namespace: 'istio-system', uid: `uid-${name}`, creationTimestamp: created },
    data: Object.fromEntries(encoded),
  };
}

const told = (secrets: KubeObject[]) => {
  const { claims, refused } = readClaims(secrets, 'home');
  return { names: [...claims.values()].map(({ cluster, secret: name }) => `${cluster} of ${name}`), refused };
};

test('each key is a cluster, and each fault of its kubeconfig is told with the secret and the key', () => {
  const { names, refused } = told([
    secret('s', '2026-01-01', { a: kubeconfig('token: t'), b: kubeconfig('exec: {}') }),
  ]);
  // They keep their names, so that what was in force under them stays.
  expect(names).toEqual(['a of s', 'b of s']);
  expect(refused.map(({ trouble, message }) => `${trouble}: ${message}`)).toEqual([
    expect.stringMatching(/^RemoteSecret: secret s, key a: .*certificate-authority-data.* is no certificate$/),
    expect.stringMatching(/^RemoteSecret: secret s, key b: .*certificate-authority-data.* is no certificate$/),
    expect.stringMatching(/^RemoteSecret: secret s, key b: .*users\[0\]\.user\.exec.* would run a program/),
  ]);
});

test('of two secrets with one key the older one counts, whatever it is called', () => {
  const older = secret('z', '2026-01-01T00:00:00Z', { n2: kubeconfig('token: t') });
  const newer = secret('a', '2026-01-02T00:00:00Z', { n2: kubeconfig('token: t') });
  const { names, refused } = told([newer, older]);
  expect(names).toEqual(['n2 of z']);
  expect(refused.filter(({ trouble }) => trouble === 'ClusterName')).toMatchObject([
    { secret: 'a', key: 'n2', message: expect.stringContaining('n2 is the name in secret z already') },
  ]);
});

test('nobody takes the own cluster’s name, and a secret without a key is told', () => {
  const { names, refused } = told([secret('s', '', { home: kubeconfig('token: t') }), secret('empty', '', {})]);
  expect(names).toEqual([]);
  expect(refused.map(({ message }) => message)).toEqual(
    expect.arrayContaining([
      expect.stringContaining('home is the name of the control plane’s own cluster'),
      expect.stringContaining('secret empty is labelled istio/multiCluster=true and holds no kubeconfig'),
    ]),
  );
});
