// SPDX-License-Identifier: Apache-2.0
// The discovery server with @grpc/grpc-js as its client, on loopback.
import { once } from 'node:events';
import { connect } from 'node:net';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
} from '../../src/xds/session/type-urls.ts';
import { expectSoon } from '../fixture/waiting.ts';
import { deltaRequest, openDelta, openSotw, SDS, sotwRequest } from './discovery-client.ts';
import {
  cluster,
  DiscoveryScene,
  endpoint,
  names,
  node,
  SERVER_NAME,
  serverIdentity,
  tokens,
} from './discovery-scene.ts';
import { MemoryBackend, resource } from './memory-backend.ts';

let scene: DiscoveryScene;
beforeEach(() => {
  scene = new DiscoveryScene();
});
afterEach(() => scene.close());

it('lets streams in one after the other: the next when the one before has its routes, or goes away', async () => {
  const admission = { atOnce: 1, quietMs: 600_000, holdMs: 600_000 };
  const server = await scene.start({
    ads: new MemoryBackend([cluster('a'), resource(ROUTE_TYPE, '80', Buffer.from('r'))]),
    admission,
  });
  const opened = () => scene.events.filter(({ kind }) => kind === 'opened').length;
  const [first, second, third] = [1, 2, 3].map(() => openDelta(scene.client(server)));
  first!.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
  const clusters = await first!.next();
  first!.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: clusters.nonce }));
  for (const each of [second!, third!]) each.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
  first!.send(deltaRequest({ typeUrl: ROUTE_TYPE, resourceNamesSubscribe: ['80'] }));
  const routes = await first!.next();
  expect(opened()).toBe(1);
  first!.send(deltaRequest({ typeUrl: ROUTE_TYPE, responseNonce: routes.nonce }));
  await Promise.race([second!.next(), third!.next()]);
  expect(opened()).toBe(2);
  for (const each of [second!, third!]) each.cancel();
  await expectSoon(() => expect(scene.events.filter(({ kind }) => kind === 'closed')).not.toHaveLength(0));
  const fourth = openDelta(scene.client(server));
  fourth.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
  expect((await fourth.next()).resources.map(({ name }) => name)).toEqual(['a']);
});

describe('delta ADS', () => {
  it('sends the wildcard, then only what changed, and what vanished', async () => {
    const ads = new MemoryBackend([cluster('a'), cluster('b')]);
    const stream = openDelta(scene.client(await scene.start({ ads })));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    const first = await stream.next();
    expect(names(first)).toEqual(['a', 'b']);
    expect(first.resources[0]?.resource?.typeUrl).toBe(CLUSTER_TYPE);
    expect(Buffer.from(first.resources[0]?.resource?.value ?? []).toString()).toBe('a');
    expect(ads.connected[0]?.node).toMatchObject({ id: node.id, metadata: node.metadata });
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: first.nonce }));
    ads.set([cluster('a'), cluster('c')]);
    const second = await stream.next();
    expect(names(second)).toEqual(['c']);
    expect(second.removedResources).toEqual(['b']);
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: second.nonce }));
    ads.set([cluster('a'), cluster('c')]);
    expect(await stream.isQuiet()).toBe(true);
    expect(ads.acks.map((ack) => ack.nonce)).toEqual([first.nonce, second.nonce]);
  });

  it('coalesces changes while a response is unanswered', async () => {
    const ads = new MemoryBackend([cluster('a', '0')]);
    const stream = openDelta(scene.client(await scene.start({ ads })));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    const first = await stream.next();
    for (let round = 1; round <= 20; round++) {
      ads.set([cluster('a', String(round))]);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await stream.isQuiet(50)).toBe(true);
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: first.nonce }));
    const second = await stream.next();
    expect(Buffer.from(second.resources[0]?.resource?.value ?? []).toString()).toBe('20');
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: second.nonce }));
    expect(await stream.isQuiet()).toBe(true);
  });

  it('finds the bad resource of a refused response, and blames it alone', async () => {
    const ads = new MemoryBackend(['a', 'b', 'bad', 'd'].map((name) => endpoint(name)));
    const server = await scene.start({ ads });
    const stream = openDelta(scene.client(server));
    stream.send(deltaRequest({ node, typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe: ['a', 'b', 'bad', 'd'] }));
    const taken = new Set<string>();
    for (let round = 0; round < 4; round++) {
      const response = await stream.next();
      const isBad = names(response).includes('bad');
      if (!isBad) for (const name of names(response)) taken.add(name);
      const errorDetail = isBad ? { errorDetail: { code: 13, message: 'no good' } } : {};
      stream.send(deltaRequest({ typeUrl: ENDPOINT_TYPE, responseNonce: response.nonce, ...errorDetail }));
      if (names(response).length === 1 && isBad && taken.size === 3) break;
    }
    while (!(await stream.isQuiet(50))) {
      const response = await stream.next();
      for (const name of names(response)) taken.add(name);
      stream.send(deltaRequest({ typeUrl: ENDPOINT_TYPE, responseNonce: response.nonce }));
    }
    expect([...taken].sort()).toEqual(['a', 'b', 'd']);
    expect(ads.nacks.map((nack) => [...nack.resources.keys()])).toEqual([['bad']]);
    expect(ads.nacks[0]?.message).toBe('no good');
    const [status0] = server.streams();
    expect(status0?.types[0]?.rejected.get('bad')?.message).toBe('no good');
  });

  it('goes on where an earlier stream ended', async () => {
    const ads = new MemoryBackend([cluster('a'), cluster('b')]);
    const stream = openDelta(scene.client(await scene.start({ ads })));
    const initialResourceVersions = { a: cluster('a').version, b: 'older', gone: 'x' };
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE, initialResourceVersions }));
    const response = await stream.next();
    expect(names(response)).toEqual(['b']);
    expect(response.removedResources).toEqual(['gone']);
  });

  it('answers a name that does not exist', async () => {
    const stream = openDelta(scene.client(await scene.start({ ads: new MemoryBackend() })));
    stream.send(deltaRequest({ node, typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe: ['nobody'] }));
    expect((await stream.next()).removedResources).toEqual(['nobody']);
  });

  it('sends a response of many megabytes in parts, to a client that reads slowly', async () => {
    const large = Array.from({ length: 40 }, (_, index) => cluster(`c${index}`, 'x'.repeat(500_000) + index));
    const stream = openDelta(scene.client(await scene.start({ ads: new MemoryBackend(large) })));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    const seen: string[] = [];
    while (seen.length < 40) {
      const response = await stream.next();
      expect(response.resources.reduce((sum, each) => sum + (each.resource?.value.length ?? 0), 0)).toBeLessThan(4e6);
      seen.push(...names(response));
      stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: response.nonce }));
    }
    expect(seen).toEqual(large.map((each) => each.name));
  });
});

describe('state of the world', () => {
  it('sends the full set of clusters, and of endpoints what changed', async () => {
    const ads = new MemoryBackend([cluster('a'), cluster('b'), endpoint('a'), endpoint('b')]);
    const stream = openSotw(scene.client(await scene.start({ ads })));
    stream.send(sotwRequest({ node, typeUrl: CLUSTER_TYPE }));
    const clusters = await stream.next();
    expect(clusters.resources.map((any) => Buffer.from(any.value).toString())).toEqual(['a', 'b']);
    stream.send(
      sotwRequest({ typeUrl: CLUSTER_TYPE, responseNonce: clusters.nonce, versionInfo: clusters.versionInfo }),
    );
    stream.send(sotwRequest({ typeUrl: ENDPOINT_TYPE, resourceNames: ['a', 'b'] }));
    const endpoints = await stream.next();
    expect(endpoints.resources).toHaveLength(2);
    const ack = { typeUrl: ENDPOINT_TYPE, resourceNames: ['a', 'b'], versionInfo: endpoints.versionInfo };
    stream.send(sotwRequest({ ...ack, responseNonce: endpoints.nonce }));
    ads.set([cluster('a'), cluster('b'), endpoint('a'), endpoint('b', 'new')]);
    const changed = await stream.next();
    expect(changed.resources.map((any) => Buffer.from(any.value).toString())).toEqual(['new']);
    stream.send(sotwRequest({ ...ack, responseNonce: 'older' }));
    stream.send(sotwRequest({ ...ack, responseNonce: changed.nonce }));
    ads.set([cluster('a'), endpoint('a'), endpoint('b', 'new')]);
    const fewer = await stream.next();
    expect(fewer.resources.map((any) => Buffer.from(any.value).toString())).toEqual(['a']);
    expect(await stream.isQuiet()).toBe(true);
  });

  it('reports what was refused', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const stream = openSotw(scene.client(await scene.start({ ads })));
    stream.send(sotwRequest({ node, typeUrl: CLUSTER_TYPE }));
    const response = await stream.next();
    const refusal = { responseNonce: response.nonce, errorDetail: { code: 13, message: 'bad cluster' } };
    stream.send(sotwRequest({ typeUrl: CLUSTER_TYPE, ...refusal }));
    expect(await stream.isQuiet()).toBe(true);
    expect(ads.nacks).toMatchObject([{ typeUrl: CLUSTER_TYPE, message: 'bad cluster' }]);
  });
});

describe('SDS', () => {
  it('gives no keys by a name by which anybody may come, whatever the token proves', async () => {
    const tls = serverIdentity();
    const options = { tls, authenticator: tokens({ good: {} }), publicNames: new Set([SERVER_NAME]) };
    const secret = resource(SECRET_TYPE, 'default', Buffer.from('key'));
    const server = await scene.start({ ...options, ads: new MemoryBackend([]), sds: new MemoryBackend([secret]) });
    const to = { rootPem: tls.rootPem, serverName: SERVER_NAME };
    const keys = openDelta(scene.client(server, to), 'good', `${SDS}/DeltaSecrets`);
    keys.send(deltaRequest({ node, typeUrl: SECRET_TYPE, resourceNamesSubscribe: ['default'] }));
    expect(await keys.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    const configuration = openDelta(scene.client(server, to), 'good');
    configuration.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await configuration.next())).toEqual([]);
  });

  it('gives secrets by name, and no other type', async () => {
    const sds = new MemoryBackend([resource(SECRET_TYPE, 'default', Buffer.from('s')), cluster('a')]);
    const server = await scene.start({ sds });
    const stream = openDelta(scene.client(server), undefined, `${SDS}/DeltaSecrets`);
    stream.send(deltaRequest({ node, resourceNamesSubscribe: ['default'] }));
    expect(names(await stream.next())).toEqual(['default']);
    const sotw = openSotw(scene.client(server), undefined, `${SDS}/StreamSecrets`);
    sotw.send(sotwRequest({ node, typeUrl: SECRET_TYPE, resourceNames: ['default'] }));
    expect((await sotw.next()).resources).toHaveLength(1);
    const wrong = openDelta(scene.client(server), undefined, `${SDS}/DeltaSecrets`);
    wrong.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(await wrong.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
    const none = openDelta(scene.client(server));
    expect(await none.ended).toMatchObject({ code: status.UNIMPLEMENTED });
  });
});

describe('ends of streams', () => {
  it('says so when it shuts down', async () => {
    const server = await scene.start({ ads: new MemoryBackend([cluster('a')]) });
    const stream = openDelta(scene.client(server));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await stream.next();
    scene.controller.abort();
    expect(await stream.ended).toMatchObject({
      code: status.UNAVAILABLE,
      details: expect.stringMatching(/shutting down/),
    });
    await server.close();
    await expectSoon(() => server.connectionCount).toBe(0);
    expect(server.streams()).toEqual([]);
  });

  it('closes the proxy when the client goes, by half-close or by reset', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const server = await scene.start({ ads });
    const polite = openDelta(scene.client(server));
    polite.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await polite.next();
    polite.close();
    expect(await polite.ended).toMatchObject({ code: status.OK });
    const rude = openDelta(scene.client(server));
    rude.send(deltaRequest({ node, typeUrl: LISTENER_TYPE }));
    await rude.next();
    rude.cancel();
    await rude.ended;
    await expectSoon(() => ads.open).toBe(0);
    expect(scene.events.filter((event) => event.kind === 'closed')).toHaveLength(2);
  });

  it('does not wait for ever for a first request, nor without a node', async () => {
    const server = await scene.start({ ads: new MemoryBackend(), firstRequestMs: 100 });
    expect(await openDelta(scene.client(server)).ended).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const anonymous = openDelta(scene.client(server));
    anonymous.send(deltaRequest({ typeUrl: CLUSTER_TYPE }));
    expect(await anonymous.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('pings: a client that answers stays, one that does not is dropped', async () => {
    const limits = { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50, shutdownGraceMs: 300 };
    const server = await scene.start({ ads: new MemoryBackend([cluster('a')]), limits });
    const stream = openDelta(scene.client(server));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await stream.next();
    expect(await stream.isQuiet(300)).toBe(true);
    expect(server.connectionCount).toBe(1);
    const mute = connect(server.port, '127.0.0.1');
    const closed = once(mute, 'close');
    mute.write(
      Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]),
    );
    mute.resume();
    await closed;
    expect(server.connectionCount).toBe(1);
  });
});
