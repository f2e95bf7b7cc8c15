// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseRemoteKubeconfig } from './remote-kubeconfig.ts';

const dir = mkdtempSync(join(tmpdir(), 'isthmus-remote-'));
let ca: string;
let key: string;
let otherKey: string;

beforeAll(() => {
  const make = (name: string): string => {
    const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=a'];
    execFileSync('openssl', [...args, '-keyout', join(dir, `${name}.key`), '-out', join(dir, `${name}.pem`)], {
      stdio: 'ignore',
    });
    return readFileSync(join(dir, `${name}.key`), 'base64');
  };
  key = make('a');
  otherKey = make('b');
  ca = readFileSync(join(dir, 'a.pem'), 'base64');
});
afterAll(() => rmSync(dir, { recursive: true }));

/** As the document's shell lines make it. */
function kubeconfig(cluster: string, user: string): string {
  return `apiVersion: v1
kind: Config
clusters:
- cluster:
    ${cluster}
  name: c2
contexts:
- context:
    cluster: c2
    user: c2
  name: c2
current-context: c2
users:
- name: c2
  user:
    ${user}
`;
}
const goodCluster = () => `certificate-authority-data: ${ca}\n    server: https://172.31.0.3:6443`;

function faultsOf(text: string) {
  const parsed = parseRemoteKubeconfig(text);
  return 'faults' in parsed ? parsed.faults : [];
}

test('the kubeconfig of the istio-multi account', () => {
  const parsed = parseRemoteKubeconfig(kubeconfig(goodCluster(), 'token: abc'));
  if ('faults' in parsed) throw new Error(JSON.stringify(parsed.faults));
  expect(parsed.config.server).toBe('https://172.31.0.3:6443');
  expect(parsed.config.caPem).toContain('BEGIN CERTIFICATE');
  expect(parsed.config.token?.()).toBe('abc');
});

test('a client certificate in place of a token', () => {
  const user = (k: string) => `client-certificate-data: ${ca}\n    client-key-data: ${k}`;
  expect(faultsOf(kubeconfig(goodCluster(), user(key)))).toEqual([]);
  expect(faultsOf(kubeconfig(goodCluster(), user(otherKey)))).toMatchObject([
    { field: 'users[0].user.client-key-data', message: expect.stringContaining('not the key') },
  ]);
  expect(faultsOf(kubeconfig(goodCluster(), user('bm9uZQ==')))).toMatchObject([{ message: 'is no private key' }]);
});

describe('refused, with field and line', () => {
  test.each([
    ['token: t\n    exec: {command: /bin/sh}', 'users[0].user.exec', 'run a program', 18],
    ['auth-provider: {name: gcp}', 'users[0].user.auth-provider', 'run a program', 17],
    ['tokenFile: /etc/passwd', 'users[0].user.tokenFile', 'read a file', 17],
    ['client-certificate: /a\n    client-key: /b', 'users[0].user.client-certificate', 'read a file', 17],
    ['token: t\n    as: admin', 'users[0].user.as', 'somebody else', 18],
    ['username: a\n    password: b', 'users[0].user.username', 'password', 17],
    ['token:', 'users[0].user.token', 'is empty', 17],
    ['token: "a b"', 'users[0].user.token', 'blanks', 17],
    ['extensions: []', 'users[0].user', 'no credential', 17],
  ])('user %j', (user, field, message, line) => {
    const [fault] = faultsOf(kubeconfig(goodCluster(), user));
    expect(fault).toMatchObject({ field, message: expect.stringContaining(message), line, cure: expect.any(String) });
  });

  test.each([
    [() => 'server: https://a:1', 'clusters[0].cluster.certificate-authority-data', 'is missing', 5],
    [
      () => 'certificate-authority-data:\n    server: https://a:1',
      'clusters[0].cluster.certificate-authority-data',
      'is empty',
      5,
    ],
    [
      () => 'certificate-authority-data: "%%"\n    server: https://a:1',
      'clusters[0].cluster.certificate-authority-data',
      'base64',
      5,
    ],
    [
      () => 'certificate-authority-data: aGVsbG8=\n    server: https://a:1',
      'clusters[0].cluster.certificate-authority-data',
      'no certificate',
      5,
    ],
    [() => `certificate-authority-data: ${ca}`, 'clusters[0].cluster.server', 'is missing', 5],
    [() => `server: http://a:1\n    certificate-authority-data: ${ca}`, 'clusters[0].cluster.server', 'plain text', 5],
    [() => `server: "a:1"\n    certificate-authority-data: ${ca}`, 'clusters[0].cluster.server', 'no https URL', 5],
    [
      () => `server: https://u:p@a:1\n    certificate-authority-data: ${ca}`,
      'clusters[0].cluster.server',
      'password',
      5,
    ],
    [
      () => `${goodCluster()}\n    insecure-skip-tls-verify: true`,
      'clusters[0].cluster.insecure-skip-tls-verify',
      'anybody',
      7,
    ],
    [
      () => `${goodCluster()}\n    certificate-authority: /etc/ca.pem`,
      'clusters[0].cluster.certificate-authority',
      'read a file',
      7,
    ],
    [
      () => 'certificate-authority: /etc/ca.pem\n    server: https://a:1',
      'clusters[0].cluster.certificate-authority',
      'read a file',
      5,
    ],
    [() => `${goodCluster()}\n    proxy-url: socks5://a:1`, 'clusters[0].cluster.proxy-url', 'http://HOST:PORT', 7],
  ])('cluster %#', (cluster, field, message, line) => {
    const faults = faultsOf(kubeconfig(cluster(), 'token: t'));
    expect(faults).toMatchObject([
      { field, message: expect.stringContaining(message), line, cure: expect.any(String) },
    ]);
  });

  test.each([
    ['', '', 'not a YAML mapping'],
    ['- a', '', 'not a YAML mapping'],
    ['a: [', '', 'no YAML'],
    ['a: *b', '', 'YAML'],
    ['clusters: []', 'current-context', 'is missing'],
    ['current-context: a\ncontexts: [null, 7]', 'current-context', 'contexts does not have'],
    ['contexts: [{name: a, context: {cluster: b}}]', 'contexts[0].context.cluster', 'clusters does not have'],
  ])('%j', (text, field, message) => {
    expect(faultsOf(text)[0]).toMatchObject({ field, message: expect.stringContaining(message) });
  });
});

test('no fault repeats a credential', () => {
  const text = kubeconfig(
    `${goodCluster()}\n    insecure-skip-tls-verify: true`,
    'token: "hunter two"\n    password: swordfish',
  );
  expect(JSON.stringify(faultsOf(text))).not.toMatch(/hunter|swordfish/);
});
