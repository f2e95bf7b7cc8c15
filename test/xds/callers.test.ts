// SPDX-License-Identifier: Apache-2.0
// Who may call the discovery server, and for how long; with @grpc/grpc-js as its client, on loopback.
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLUSTER_TYPE } from '../../src/xds/session/type-urls.ts';
import { type Authenticator, XdsRefusal } from '../../src/xds/types.ts';
import { expectSoon } from '../fixture/waiting.ts';
import { deltaRequest, openDelta } from './discovery-client.ts';
import { cluster, DiscoveryScene, names, node, peer, SERVER_NAME, serverIdentity, tokens } from './discovery-scene.ts';
import { MemoryBackend } from './memory-backend.ts';

let scene: DiscoveryScene;
beforeEach(() => {
  scene = new DiscoveryScene();
});
afterEach(() => scene.close());

describe('who may call', () => {
  it('serves over TLS to a token that is known, and nobody else', async () => {
    const tls = serverIdentity();
    const ads = new MemoryBackend([cluster('a')]);
    const server = await scene.start({ tls, ads, authenticator: tokens({ good: {} }) });
    const tlsClient = scene.client(server, { rootPem: tls.rootPem, serverName: SERVER_NAME });
    for (const token of [undefined, 'wrong']) {
      const refused = openDelta(tlsClient, token);
      refused.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
      expect(await refused.ended).toMatchObject({ code: status.UNAUTHENTICATED, details: 'the token proves nobody' });
    }
    const stream = openDelta(tlsClient, 'good');
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await stream.next())).toEqual(['a']);
    expect(JSON.stringify(scene.events)).not.toMatch(/good|wrong/);
  });

  it('gives a pod no more streams than an Envoy can need, and others theirs', async () => {
    const authenticator = tokens({ hostile: { podUid: 'u7' }, other: { podUid: 'u8' } });
    const server = await scene.start({ ads: new MemoryBackend([cluster('a')]), authenticator });
    const connect = (token: string) => {
      const stream = openDelta(scene.client(server), token);
      stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
      return stream;
    };
    const many = Array.from({ length: 32 }, () => connect('hostile'));
    for (const stream of many) await stream.next();
    expect(await connect('hostile').ended).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(names(await connect('other').next())).toEqual(['a']);
    many[0]?.cancel();
    await expectSoon(() => server.streams().length).toBe(32);
    expect(names(await connect('hostile').next())).toEqual(['a']);
  });

  it('ends the streams that it is told to, and no others', async () => {
    const authenticator = tokens({ here: {}, away: { clusterName: 'n2' } });
    const server = await scene.start({ ads: new MemoryBackend([cluster('a')]), authenticator });
    const streams = ['here', 'away'].map((token) => openDelta(scene.client(server), token));
    for (const stream of streams) {
      stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
      await stream.next();
    }
    server.endStreams(({ peer: { clusterName } }) => clusterName === 'n2', 'UNAVAILABLE', 'its cluster has left');
    expect(await streams[1]?.ended).toMatchObject({ code: status.UNAVAILABLE, details: 'its cluster has left' });
    await expectSoon(() => server.streams().map(({ peer: { clusterName } }) => clusterName)).toEqual(['cluster1']);
  });

  it('tells the authenticator what certificate a client presents, and whether it holds', async () => {
    const tls = serverIdentity();
    const stranger = serverIdentity();
    const seen: unknown[] = [];
    const authenticator: Authenticator = {
      authenticate: (_token, { certificate }) => {
        seen.push(certificate);
        return Promise.resolve(peer);
      },
    };
    const server = await scene.start({
      tls: { ...tls, clientRootsPem: tls.rootPem },
      ads: new MemoryBackend([cluster('a')]),
      authenticator,
    });
    const uri = 'spiffe://cluster.local/ns/default/sa/sleep';
    for (const own of [undefined, tls.issueClient(uri), stranger.issueClient(uri)]) {
      const to = { rootPem: tls.rootPem, serverName: SERVER_NAME, ...(own === undefined ? {} : { own }) };
      const stream = openDelta(scene.client(server, to), 'good');
      stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
      expect(names(await stream.next())).toEqual(['a']);
    }
    expect(seen).toEqual([
      undefined,
      { uris: [uri], problem: '' },
      { uris: [uri], problem: expect.stringMatching(/UNABLE|SELF_SIGNED/) },
    ]);
  });

  it('takes a new certificate for new connections', async () => {
    const tls = serverIdentity();
    const renewed = serverIdentity();
    const server = await scene.start({
      tls,
      ads: new MemoryBackend([cluster('a')]),
      authenticator: tokens({ good: {} }),
    });
    server.setTls(renewed);
    const stream = openDelta(scene.client(server, { rootPem: renewed.rootPem, serverName: SERVER_NAME }), 'good');
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await stream.next())).toEqual(['a']);
  });

  it('ends a stream when its token expires, and serves the renewed one', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    let endsAtMs: number | undefined;
    const old = {
      // From when it is first shown, however long the machine takes until then.
      get expiresAtMs() {
        endsAtMs ??= Date.now() + 400;
        return endsAtMs;
      },
    };
    const authenticator = tokens({ old, renewed: {} });
    const server = await scene.start({ ads, authenticator });
    const one = scene.client(server);
    const stream = openDelta(one, 'old');
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await stream.next();
    expect(await stream.ended).toMatchObject({
      code: status.UNAUTHENTICATED,
      details: expect.stringMatching(/expired/),
    });
    const again = openDelta(one, 'old');
    expect(await again.ended).toMatchObject({ code: status.UNAUTHENTICATED });
    await expectSoon(() => ads.open).toBe(0);
    const renewed = openDelta(one, 'renewed');
    renewed.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await renewed.next())).toEqual(['a']);
  });

  it('ends a stream whose token is revoked, but not because nobody can say', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const known = { good: {} };
    let asked = 0;
    let isAway = true;
    const authenticator: Authenticator = {
      authenticate(token, transport) {
        const isFirst = asked++ === 0;
        if (!isFirst && isAway) return Promise.reject(new XdsRefusal('UNAVAILABLE', 'the API server is away'));
        return tokens(isFirst ? known : {}).authenticate(token, transport);
      },
    };
    const server = await scene.start({ ads, authenticator, recheckMs: 20 });
    const stream = openDelta(scene.client(server), 'good');
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await stream.next();
    await expectSoon(() => asked).toBeGreaterThan(3);
    expect(ads.open).toBe(1);
    isAway = false;
    expect(await stream.ended).toMatchObject({ code: status.UNAUTHENTICATED, details: 'the token proves nobody' });
    await expectSoon(() => ads.open).toBe(0);
    const atTheEnd = asked;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(asked).toBe(atTheEnd);
  });

  it('refuses plaintext beyond loopback', async () => {
    await expect(scene.start({ listen: { host: '0.0.0.0', port: 0 } })).rejects.toThrow(/loopback only/);
    await expect(scene.start({ listen: { host: 'localhost', port: 0 } })).rejects.toThrow(/loopback only/);
  });

  it('passes on what the backend refuses, at connect and later', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const server = await scene.start({ ads });
    ads.onConnect = () => {
      throw new XdsRefusal('PERMISSION_DENIED', 'the node is not who the token says');
    };
    const refused = openDelta(scene.client(server));
    refused.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(await refused.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    ads.onConnect = () => {};
    const stream = openDelta(scene.client(server));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await stream.next();
    ads.onDesired = () => {
      throw new XdsRefusal('UNAVAILABLE', 'the pod is gone');
    };
    ads.set([]);
    expect(await stream.ended).toMatchObject({ code: status.UNAVAILABLE, details: 'the pod is gone' });
    await expectSoon(() => ads.open).toBe(0);
  });

  it('keeps a stream, and what it has, when the backend fails', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const stream = openDelta(scene.client(await scene.start({ ads })));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    const first = await stream.next();
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: first.nonce }));
    ads.onDesired = () => {
      throw new Error('a bug');
    };
    ads.set([]);
    expect(await stream.isQuiet()).toBe(true);
    expect(scene.events.some((event) => event.kind === 'backend-failed')).toBe(true);
    ads.onDesired = () => {};
    ads.set([cluster('b')]);
    expect(names(await stream.next())).toEqual(['b']);
  });
});
