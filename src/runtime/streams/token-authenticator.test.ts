// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KubeFixture, type TokenOptions } from '../../../test/mesh/kube-fixture.ts';
import type { KubeClient } from '../../kube/client.ts';
import { TokenAuthenticator } from './token-authenticator.ts';

let kube: KubeFixture;
let client: KubeClient;
let nowMs: number;
const PEER = { address: '10.1.0.5' };
let authenticator: TokenAuthenticator;
let uid: string;

beforeEach(async () => {
  kube = await KubeFixture.start();
  client = kube.client();
  nowMs = Date.now();
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'default' } };
  uid = kube.put('/api/v1/namespaces/default/pods', pod).metadata.uid ?? '';
  const options = {
    client,
    audience: 'istio-ca',
    trustDomain: 'cluster.local',
    clusterName: 'cluster1',
    nowMs: () => nowMs,
  };
  authenticator = new TokenAuthenticator(options);
});
afterEach(() => {
  client.close();
  kube.close();
});

const token = (change: Partial<TokenOptions> = {}) =>
  kube.token({ namespace: 'default', serviceAccount: 'sa', pod: { name: 'a', uid }, ...change });

test('a bound token proves pod and service account, until it ends', async () => {
  const identity = await authenticator.authenticate(token(), PEER);
  expect(identity).toMatchObject({
    namespace: 'default',
    serviceAccount: 'sa',
    podName: 'a',
    podUid: uid,
    clusterName: 'cluster1',
  });
  expect(identity.expiresAtMs).toBeGreaterThan(nowMs + 3_500_000);
});

test('streams that come together ask the API server once, and a deleted pod proves nothing a minute later', async () => {
  const one = token();
  await Promise.all([authenticator.authenticate(one, PEER), authenticator.authenticate(one, PEER)]);
  await authenticator.authenticate(one, PEER);
  expect(kube.reviewed).toHaveLength(1);
  kube.remove('/api/v1/namespaces/default/pods/a');
  nowMs += 61_000;
  await expect(authenticator.authenticate(one, PEER)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
});

test.each([
  ['no token', () => undefined, 'is needed'],
  ['noise', () => 'noise', 'not a JWT'],
  ['another audience', () => token({ audience: 'vault' }), '"vault", but "istio-ca" is needed'],
  ['an old token', () => token({ lifetimeMs: -1 }), 'has expired'],
])('%s is refused without asking', async (_, make, reason) => {
  await expect(authenticator.authenticate(make(), PEER)).rejects.toMatchObject({
    code: 'UNAUTHENTICATED',
    message: expect.stringContaining(reason),
  });
  expect(kube.reviewed).toEqual([]);
});

test('a refusal is not remembered, and names no part of the token', async () => {
  const bad = `${token()}x`;
  const refusal = await authenticator.authenticate(bad, PEER).catch((error: Error) => error);
  expect((refusal as Error).message).not.toContain(bad.slice(-12));
  await authenticator.authenticate(bad, PEER).catch(() => {});
  expect(kube.reviewed).toHaveLength(2);
});

test('when the API server is away the answer is "later", not "no"', async () => {
  kube.close();
  await expect(authenticator.authenticate(token(), PEER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
});

test('one address keeps the API server no busier than its share', async () => {
  const unknown = (i: number) => token({ pod: { name: 'a', uid: `other-${i}` } });
  const outcomes = await Promise.allSettled(
    Array.from({ length: 800 }, (_, i) => authenticator.authenticate(unknown(i), PEER)),
  );
  const codes = outcomes.map((each) => (each.status === 'rejected' ? (each.reason as { code: string }).code : 'taken'));
  const unavailable = codes.filter((code) => code === 'UNAVAILABLE').length;
  expect(unavailable).toBeGreaterThan(100);
  expect(kube.reviewed.length).toBeLessThan(700);
  // As many pods as restart together behind one address are no flood.
  expect(800 - unavailable).toBeGreaterThanOrEqual(500);
  // Others are served meanwhile.
  await authenticator.authenticate(token(), { address: '10.1.0.6' });
});
