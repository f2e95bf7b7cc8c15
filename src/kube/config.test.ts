// SPDX-License-Identifier: Apache-2.0
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { loadKubeconfig } from './config.ts';

let dir: string;
const before = process.env['KUBECONFIG'];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'kube-config-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
  if (before === undefined) delete process.env['KUBECONFIG'];
  else process.env['KUBECONFIG'] = before;
});

function write(name: string, content: unknown): string {
  const file = join(dir, name);
  writeFileSync(file, typeof content === 'string' ? content : stringify(content));
  return file;
}

const base64 = (text: string) => Buffer.from(text).toString('base64');
const full = () => ({
  'current-context': 'one',
  contexts: [
    { name: 'one', context: { cluster: 'c1', user: 'certificate', namespace: 'apps' } },
    { name: 'two', context: { cluster: 'c2', user: 'token-file' } },
  ],
  clusters: [
    {
      name: 'c1',
      cluster: {
        server: 'https://10.0.0.1:6443/',
        'certificate-authority-data': base64('CA'),
        'proxy-url': 'http://127.0.0.1:9',
      },
    },
    {
      name: 'c2',
      cluster: { server: 'https://10.0.0.2', 'certificate-authority': 'ca.pem', 'tls-server-name': 'api' },
    },
  ],
  users: [
    { name: 'certificate', user: { 'client-certificate-data': base64('CERT'), 'client-key-data': base64('KEY') } },
    { name: 'token-file', user: { tokenFile: 'token', token: 'ignored' } },
  ],
});

test('reads the current context, inline data and proxy', () => {
  expect(loadKubeconfig(write('config', full()))).toEqual({
    server: 'https://10.0.0.1:6443',
    caPem: 'CA',
    clientCertPem: 'CERT',
    clientKeyPem: 'KEY',
    proxyUrl: 'http://127.0.0.1:9',
    namespace: 'apps',
  });
});

test('reads files beside the kubeconfig, and a token file anew each time', () => {
  write('ca.pem', 'CA2');
  write('token', 'first\n');
  const config = loadKubeconfig(write('config', full()), 'two');
  expect(config).toMatchObject({ caPem: 'CA2', tlsServerName: 'api' });
  expect(config.token?.()).toBe('first');
  write('token', 'second');
  expect(config.token?.()).toBe('second');
});

test('merges the files of $KUBECONFIG; the first to define a name wins', () => {
  const first = write('first', { contexts: [{ name: 'one', context: { cluster: 'c2' } }] });
  write('ca.pem', 'CA2');
  process.env['KUBECONFIG'] = `${first}:${write('second', full())}`;
  expect(loadKubeconfig().server).toBe('https://10.0.0.2');
});

test.each([
  ['no file', undefined, undefined, /missing cannot be read/],
  ['no context of the name', full(), 'three', /context "three": contexts has no entry named "three"/],
  ['no cluster of the name', { ...full(), clusters: [] }, undefined, /context "one": clusters has no entry named "c1"/],
  [
    'no server',
    { ...full(), clusters: [{ name: 'c1', cluster: {} }] },
    undefined,
    /cluster "c1": field server is missing/,
  ],
  [
    'a socks proxy',
    { ...full(), clusters: [{ name: 'c1', cluster: { server: 'https://a', 'proxy-url': 'socks5://b' } }] },
    undefined,
    /field proxy-url/,
  ],
  [
    'an exec plugin without command',
    { ...full(), users: [{ name: 'certificate', user: { exec: {} } }] },
    undefined,
    /user "certificate": field exec.command is missing/,
  ],
  [
    'a certificate without key',
    { ...full(), users: [{ name: 'certificate', user: { 'client-certificate-data': 'YQ==' } }] },
    undefined,
    /must come together/,
  ],
  ['not a mapping', 'just text', undefined, /is not a YAML mapping/],
])('names file, context and field: %s', (_case, content, context, message) => {
  const file = content === undefined ? join(dir, 'missing') : write('config', content);
  expect(() => loadKubeconfig(file, context)).toThrow(message);
  expect(() => loadKubeconfig(file, context)).toThrow(dir);
});

const execUser = (script: string) => ({
  ...full(),
  users: [
    {
      name: 'certificate',
      user: {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: 'sh',
          args: ['-c', script],
          env: [{ name: 'WHO', value: 'tester' }],
        },
      },
    },
  ],
});

test('an exec plugin is asked for a token, again only when the token is about to expire', () => {
  const calls = join(dir, 'calls');
  const answer = (expires: string) =>
    `echo x >> ${calls}; n=$(wc -l < ${calls}); ` +
    `echo '{"kind":"ExecCredential","status":{"token":"'$WHO-$n'","expirationTimestamp":"${expires}"}}'`;
  const lasting = loadKubeconfig(write('config', execUser(answer('2999-01-01T00:00:00Z'))));
  expect([lasting.token?.(), lasting.token?.()]).toEqual(['tester-1', 'tester-1']);
  const expiring = loadKubeconfig(write('config', execUser(answer(new Date(Date.now() + 5_000).toISOString()))));
  expect([expiring.token?.(), expiring.token?.()]).toEqual(['tester-2', 'tester-3']);
});

test('an exec plugin that fails is named with its words, one that is missing with its hint', () => {
  const failing = loadKubeconfig(write('config', execUser('echo please log in >&2; exit 1')));
  expect(() => failing.token?.()).toThrow(/user "certificate": exec sh failed: please log in/);
  const missing = execUser('');
  Object.assign(missing.users[0]?.user.exec ?? {}, {
    command: './no-such-plugin',
    installHint: 'get it from the vendor',
  });
  expect(() => loadKubeconfig(write('config', missing)).token?.()).toThrow(/ENOENT.*get it from the vendor/);
});
