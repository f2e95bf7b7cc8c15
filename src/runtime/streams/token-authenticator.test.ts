// SPDX-License-Identifier: Apache-2.0
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
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
  ['an old token', () => token({ lifetimeMs: -60_000 }), 'has expired'],
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

describe('a certificate beside the token', () => {
  const id = 'spiffe://cluster.local/ns/default/sa/sa';

  test('of the same identity, or none, is well', async () => {
    for (const certificate of [undefined, { uris: [id], problem: '' }]) {
      const transport = { ...PEER, ...(certificate === undefined ? {} : { certificate }) };
      expect(await authenticator.authenticate(token(), transport)).toMatchObject({ serviceAccount: 'sa' });
    }
  });

  test.each([
    ['of another identity', [`${id}-2`], '', 'PERMISSION_DENIED', `is of ${id}-2, but its token proves ${id}`],
    ['of nobody', [], '', 'PERMISSION_DENIED', 'is of nobody'],
    ['of another root', [id], 'UNABLE_TO_GET_ISSUER_CERT', 'UNAUTHENTICATED', 'not one of this mesh (UNABLE_TO_GET'],
  ])('%s is refused, also where the token is known', async (_, uris, problem, code, message) => {
    const known = token();
    await authenticator.authenticate(known, PEER);
    const outcome = authenticator.authenticate(known, { ...PEER, certificate: { uris, problem } });
    await expect(outcome).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
  });
});

describe('tokens of several clusters', () => {
  const CART = { ...PEER, certificate: { uris: ['spiffe://cluster.local/ns/shop/sa/cart'], problem: '' } };
  let away: KubeFixture;
  let third: KubeFixture;
  let watched: { cluster: string; client: KubeClient }[];
  let many: TokenAuthenticator;
  const outcomes: string[] = [];

  beforeEach(async () => {
    [away, third] = await Promise.all([KubeFixture.start(), KubeFixture.start()]);
    watched = [
      { cluster: 'n2', client: away.client() },
      { cluster: 'n3', client: third.client() },
    ];
    outcomes.length = 0;
    many = new TokenAuthenticator({
      client,
      audience: 'istio-ca',
      trustDomain: 'cluster.local',
      clusterName: 'cluster1',
      others: () => watched,
      nowMs: () => nowMs,
      observe: (outcome) => outcomes.push(outcome),
      reviewMs: 500,
    });
  });
  afterEach(() => {
    for (const each of watched) each.client.close();
    away.close();
    third.close();
  });

  function tokenOf(cluster: KubeFixture, keyId?: string): string {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'b', namespace: 'shop' } };
    const { uid = '' } = cluster.put('/api/v1/namespaces/shop/pods', pod).metadata;
    const key = keyId === undefined ? {} : { keyId };
    return cluster.token({ namespace: 'shop', serviceAccount: 'cart', pod: { name: 'b', uid }, ...key });
  }

  test('prove the cluster that issued them, which is asked before its neighbours the next time', async () => {
    expect(await many.authenticate(tokenOf(third, 'k3'), CART)).toMatchObject({ clusterName: 'n3', podName: 'b' });
    expect([kube, away, third].map((each) => each.reviewed.length)).toEqual([1, 1, 1]);
    expect(await many.authenticate(tokenOf(third, 'k3'), CART)).toMatchObject({ clusterName: 'n3' });
    expect([kube, away, third].map((each) => each.reviewed.length)).toEqual([2, 1, 2]);
  });

  test('of the own cluster are shown to no other', async () => {
    await many.authenticate(token(), PEER);
    expect([away, third].map((each) => each.reviewed.length)).toEqual([0, 0]);
    kube.close();
    await expect(many.authenticate(token({ lifetimeMs: 7_000_000 }), PEER)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect([away, third].map((each) => each.reviewed.length)).toEqual([0, 0]);
  });

  test('of a cluster that nobody watches are told what to do, and work when it is done', async () => {
    const [n2] = watched;
    watched = [];
    const one = tokenOf(away, 'k2');
    await expect(many.authenticate(one, CART)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('labelled istio/multiCluster=true'),
    });
    watched = [n2!];
    expect(await many.authenticate(one, CART)).toMatchObject({ clusterName: 'n2' });
    // And of one that is watched no more.
    watched = [];
    many.forget('n2');
    await expect(many.authenticate(one, CART)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('of what may be a cluster that is not read yet are to come again', async () => {
    let pending: string[] | undefined;
    const options = { client, audience: 'istio-ca', trustDomain: 'cluster.local', clusterName: 'cluster1' };
    const starting = new TokenAuthenticator({ ...options, others: () => [], pending: () => pending });
    const one = tokenOf(away, 'k2');
    const outcome = () => starting.authenticate(one, CART).catch((error: unknown) => error);
    expect(await outcome()).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('the other clusters'),
    });
    pending = ['n2'];
    expect(await outcome()).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining('of cluster n2,') });
    pending = [];
    expect(await outcome()).toMatchObject({ code: 'UNAUTHENTICATED' });
  });

  test('that name the key of another cluster prove nothing by it, and spoil nothing', async () => {
    await many.authenticate(tokenOf(away, 'k2'), CART);
    const forged = `${tokenOf(third, 'k2')}x`;
    await expect(many.authenticate(forged, CART)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await many.authenticate(tokenOf(away, 'k2'), CART)).toMatchObject({ clusterName: 'n2' });
    // Two clusters that are copies of one another sign with one key.
    expect(await many.authenticate(tokenOf(third, 'k2'), CART)).toMatchObject({ clusterName: 'n3' });
  });

  test('without the certificate of their holder prove nothing: who has stolen one has nothing', async () => {
    await expect(many.authenticate(tokenOf(away, 'k2'), PEER)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: expect.stringContaining('has to present its certificate'),
    });
    expect(await many.authenticate(token(), PEER)).toMatchObject({ clusterName: 'cluster1' });
  });

  test('are shown to no cluster that claims a neighbour’s key', async () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', namespace: 'default' } };
    const { uid: awayUid = '' } = away.put('/api/v1/namespaces/default/pods', pod).metadata;
    // n2 signs tokens that name the own cluster's key, and the third's: its API server may accept what it likes.
    for (const keyId of ['k1', 'k3']) {
      if (keyId === 'k3') await many.authenticate(tokenOf(third, 'k3'), CART);
      await many.authenticate(tokenOf(away, keyId), CART);
    }
    const seen = away.reviewed.length;
    expect(await many.authenticate(token({ keyId: 'k1' }), PEER)).toMatchObject({ clusterName: 'cluster1' });
    expect(await many.authenticate(tokenOf(third, 'k3'), CART)).toMatchObject({ clusterName: 'n3' });
    expect(away.reviewed).toHaveLength(seen);
    // Its own API server away, a token of the own cluster is still nobody else's.
    kube.close();
    const own = token({ keyId: 'k1', lifetimeMs: 7_000_000, pod: { name: 'a', uid: awayUid } });
    await expect(many.authenticate(own, PEER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(away.reviewed).toHaveLength(seen);
    // And the others' proxies come in meanwhile, if it is known whose they are.
    expect(await many.authenticate(tokenOf(third, 'k3'), CART)).toMatchObject({ clusterName: 'n3' });
  });

  test('of those who come by a gateway are checked, whatever strangers send by it', async () => {
    const options = { client, audience: 'istio-ca', trustDomain: 'cluster.local', clusterName: 'cluster1' };
    const limit = { burst: 5, perSecond: 0.001 };
    const few = new TokenAuthenticator({ ...options, others: () => watched, limit });
    await few.authenticate(`${token()}x`, PEER).catch(() => {});
    await few.authenticate(`${token()}y`, PEER).catch(() => {});
    await expect(few.authenticate(token(), PEER)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await few.authenticate(tokenOf(away, 'k2'), CART)).toMatchObject({ clusterName: 'n2' });
  });

  test('do not wait for another cluster that hangs or is away', async () => {
    away.close();
    expect(await many.authenticate(tokenOf(third, 'k3'), CART)).toMatchObject({ clusterName: 'n3' });
    await expect(many.authenticate(tokenOf(away, 'k2'), CART)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('with the API server of n2: it cannot be reached'),
    });
  });

  test('of a pod that is gone prove nobody, whoever else cannot be asked', async () => {
    const one = tokenOf(third, 'k3');
    await many.authenticate(one, CART);
    third.remove('/api/v1/namespaces/shop/pods/b');
    away.close();
    nowMs += 61_000;
    await expect(many.authenticate(one, CART)).rejects.toMatchObject({ code: 'UNAUTHENTICATED' });
  });
});
