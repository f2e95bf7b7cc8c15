// SPDX-License-Identifier: Apache-2.0
import { X509Certificate } from 'node:crypto';
import pino from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { expectSoon } from '../../../test/fixture/waiting.ts';
import { KubeFixture } from '../../../test/mesh/kube-fixture.ts';
import type { Authority } from '../../identity/authority.ts';
import { makeIntermediate, makeRoot } from '../../identity/ca-material.ts';
import type { KubeClient } from '../../kube/client.ts';
import { loadAuthority, superviseAuthority } from './ca-secret.ts';

const SECRETS = '/api/v1/namespaces/istio-system/secrets';
const nowMs = Date.now();
const ca = (commonName: string, days: number) => ({ organization: 'test', commonName, days, nowMs });
const root = makeRoot(ca('root', 3_650));

let kube: KubeFixture;
let client: KubeClient;
let lifetime: AbortController;
let renewals: string[];
let lines: { level: number; msg: string; reason?: string; secret?: string; certificate?: string }[];
const log = pino({}, { write: (line: string) => lines.push(JSON.parse(line)) });

beforeEach(async () => {
  kube = await KubeFixture.start();
  client = kube.client();
  lifetime = new AbortController();
  lines = [];
});
afterEach(() => {
  lifetime.abort();
  client.close();
  kube.close();
});

function give(files: object): void {
  const data = Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
  kube.put(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'cacerts' }, data });
}

async function supervise(): Promise<void> {
  const authority = await loadAuthority(client, 'cluster.local', nowMs, log);
  lines = [];
  renewals = [];
  const renewed = (next: Authority): void => void renewals.push(next.fingerprint);
  const told = { client, log, nowMs: Date.now, renewed, observe: () => {}, lookMs: 10 };
  void superviseAuthority(authority, told, lifetime.signal);
}

test('another intermediate below the same root comes into use', async () => {
  give(makeIntermediate(root, ca('first', 365)));
  await supervise();
  const second = makeIntermediate(root, ca('second', 365));
  give(second);
  await expectSoon(() => renewals).toEqual([new X509Certificate(second['ca-cert.pem']).fingerprint256]);
  expect(lines).toMatchObject([{ level: 30, msg: expect.stringContaining('renewed below the same root') }]);
});

test('a CA with another root is told of once, and one that could not be used with its reason', async () => {
  const first = makeIntermediate(root, ca('first', 365));
  give(first);
  await supervise();
  await expectSoon(() => kube.requests.length).toBeGreaterThan(3);
  expect(lines).toEqual([]);
  give(makeIntermediate(makeRoot(ca('another root', 365)), ca('second', 365)));
  await expectSoon(() => lines.length).toBe(1);
  give({ ...first, 'ca-key.pem': 'no key' });
  await expectSoon(() => lines.length).toBe(2);
  const before = kube.requests.length;
  await expectSoon(() => kube.requests.length).toBeGreaterThan(before + 3);
  expect(lines).toMatchObject([
    { level: 40, msg: expect.stringContaining('restart the control plane') },
    { level: 50, reason: expect.stringContaining('ca-key.pem') },
  ]);
  expect(renewals).toEqual([]);
  expect(JSON.stringify(lines)).not.toContain('no key');
});

test('a CA that ends soon is told of, and an API server that is away is not', async () => {
  give(makeIntermediate(root, ca('short', 10)));
  await supervise();
  kube.close();
  await expectSoon(() => lines.length).toBe(1);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(lines).toMatchObject([{ level: 40, certificate: expect.stringContaining('short') }]);
});
