// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { makeRoot } from '../../identity/ca-material.ts';
import type { KubeObject } from '../../kube/types.ts';
import { inspectRemoteSecrets, matchRegistry } from './remote-secrets.ts';

const ca = makeRoot({ organization: 'test', commonName: 'ca', days: 10, nowMs: Date.now() }).certPem;
const base64 = (text: string) => Buffer.from(text).toString('base64');
const kubeconfig = (server: string, user = 'token: secret') => `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "${server}", certificate-authority-data: ${base64(ca)} } }]
users:
- name: u
  user: { ${user} }
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`;
const secret = (
  name: string,
  data: Record<string, string>,
  creationTimestamp = '2020-01-01T00:00:00Z',
): KubeObject => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'istio-system', creationTimestamp },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])),
});
const inspect = (...secrets: KubeObject[]) => {
  const { registries, remarks } = inspectRemoteSecrets(secrets, 'cluster1');
  return {
    usable: registries.filter(({ config }) => config !== undefined).map(({ name }) => name),
    said: remarks.map(({ code, object, field, message }) => `${code} ${object.name} ${field}: ${message}`),
  };
};

test('a kubeconfig with all that it needs is a cluster by its key', () => {
  const found = inspect(secret('s', { 'n2-k8s-config': kubeconfig('https://a:6443') }));
  expect(found).toEqual({ usable: ['n2-k8s-config'], said: [] });
});

test('one that would run a program is told with its line, and takes no other down', () => {
  const { usable, said } = inspect(
    secret('bad', { n2: kubeconfig('https://a:6443', 'exec: { command: aws }') }),
    secret('good', { n3: kubeconfig('https://b:6443') }),
  );
  expect(usable).toEqual(['n3']);
  expect(said).toEqual([
    'ISM0309 bad data["n2"]: users[0].user.exec: would run a program on the control plane (line 6)',
  ]);
});

test('no credential is ever part of what is said', () => {
  const { said } = inspect(
    secret('bad', { n2: kubeconfig('nowhere', 'token: "se cret", tokenFile: /x') }),
    secret('none', { n3: 'secret: {' }),
    secret('empty', {}),
  );
  expect(said.length).toBeGreaterThan(3);
  expect(said.join('\n')).not.toContain('se cret');
  expect(said.join('\n')).not.toContain('secret: {');
});

test('a name that another has, or the cluster itself, is told of the younger Secret', () => {
  const { usable, said } = inspect(
    secret('young', { n2: kubeconfig('https://b:6443') }, '2021-01-01T00:00:00Z'),
    secret('old', { n2: kubeconfig('https://a:6443') }),
    secret('own', { cluster1: kubeconfig('https://c:6443') }),
  );
  expect(usable).toEqual(['n2']);
  expect(said).toEqual([
    expect.stringMatching(/^ISM0311 own data\["cluster1"\]: .*control plane’s own cluster/),
    expect.stringMatching(/^ISM0311 young data\["n2"\]: .*Secret old/),
  ]);
});

test('a name goes to the younger Secret where the older one’s kubeconfig cannot be used, as in the control plane', () => {
  const { usable, said } = inspect(
    secret('young', { n2: kubeconfig('https://b:6443') }, '2021-01-01T00:00:00Z'),
    secret('old', { n2: kubeconfig('https://a:6443', 'exec: { command: aws }') }),
  );
  expect(usable).toEqual(['n2']);
  expect(said).toEqual([expect.stringMatching(/^ISM0309 old data\["n2"\]: users\[0\]\.user\.exec/)]);
});

test('one cluster under two names is told', () => {
  const { said } = inspect(
    secret('a', { n2: kubeconfig('https://a:6443') }),
    secret('b', { n3: kubeconfig('https://a:6443') }),
  );
  expect(said).toEqual([expect.stringMatching(/^ISM0311 b data\["n3"\]: .*https:\/\/a:6443, as n2 of Secret a/)]);
});

test('an address that only a laptop knows is warned of', () => {
  const { usable, said } = inspect(secret('s', { n2: kubeconfig('https://127.0.0.1:6443') }));
  expect(usable).toEqual(['n2']);
  expect(said).toEqual([expect.stringMatching(/^ISM0309 s data\["n2"\]: .*server: .* is the pod itself/)]);
});

test('a registry is found among the analyzed clusters by its address, else by its CA if that is one’s only', () => {
  const [registry] = inspectRemoteSecrets([secret('s', { n2: kubeconfig('https://a:6443') })], undefined).registries;
  const clusters = [
    { server: 'https://a:6443', caPem: 'other' },
    { server: 'https://127.0.0.1:1', caPem: ca },
  ];
  expect(matchRegistry(registry!, clusters)).toBe(clusters[0]);
  expect(matchRegistry(registry!, clusters.slice(1))).toBe(clusters[1]);
  expect(matchRegistry(registry!, [clusters[1]!, { ...clusters[1]! }])).toBeUndefined();
});
