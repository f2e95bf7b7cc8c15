// SPDX-License-Identifier: Apache-2.0
// The discovery server with @grpc/grpc-js as its client, on loopback.
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Client } from '@grpc/grpc-js';
import { status } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { startXdsServer, trustLoopback, type XdsServer, type XdsServerOptions } from '../../src/xds/server.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
} from '../../src/xds/session/type-urls.ts';
import type { XdsEvent } from '../../src/xds/stream.ts';
import { type Authenticator, type PeerIdentity, XdsRefusal } from '../../src/xds/types.ts';
import { expectSoon } from '../fixture/waiting.ts';
import { connectClient, deltaRequest, openDelta, openSotw, SDS, sotwRequest } from './discovery-client.ts';
import { MemoryBackend, resource } from './memory-backend.ts';

const peer: PeerIdentity = {
  trustDomain: 'cluster.local',
  clusterName: 'cluster1',
  namespace: 'default',
  serviceAccount: 'sleep',
  podName: 'sleep-1',
  podUid: 'u1',
  expiresAtMs: Number.POSITIVE_INFINITY,
};
const node = {
  id: 'sidecar~10.0.0.1~sleep-1.default~default.svc.cluster.local',
  metadata: { NAMESPACE: 'default', N: 1 },
};
const cluster = (name: string, text = name) => resource(CLUSTER_TYPE, name, Buffer.from(text));
const endpoint = (name: string, text = name) => resource(ENDPOINT_TYPE, name, Buffer.from(text));
const SERVER_NAME = 'istio-pilot.istio-system.svc';

function tokens(known: Record<string, Partial<PeerIdentity>>): Authenticator {
  return {
    async authenticate(token) {
      const found = token === undefined ? undefined : known[token];
      if (found === undefined) throw new XdsRefusal('UNAUTHENTICATED', 'the token proves nobody');
      return { ...peer, ...found };
    },
  };
}

interface Issued {
  certPem: string;
  keyPem: string;
  rootPem: string;
  /** A client certificate below the same root. */
  issueClient(uri: string): { certPem: string; keyPem: string };
}

function serverIdentity(): Issued {
  const root = generateKeyPair();
  const key = generateKeyPair();
  const validity = { notBefore: new Date(Date.now() - 60_000), notAfter: new Date(Date.now() + 3600_000) };
  const subject = { commonName: 'test root' };
  const rootPem = issueCertificate({
    subject,
    publicKey: root.publicKey,
    selfKey: root.privateKey,
    isCa: true,
    ...validity,
  });
  const issuer = { certPem: rootPem, key: root.privateKey };
  const names = { subject: {}, dnsNames: [SERVER_NAME], usages: ['serverAuth' as const] };
  const certPem = issueCertificate({ ...names, publicKey: key.publicKey, issuer, ...validity });
  const issueClient = (uri: string) => {
    const own = generateKeyPair();
    const wanted = { subject: {}, uris: [uri], usages: ['clientAuth' as const], publicKey: own.publicKey };
    return { certPem: issueCertificate({ ...wanted, issuer, ...validity }), keyPem: privateKeyPem(own.privateKey) };
  };
  return { certPem, keyPem: privateKeyPem(key.privateKey), rootPem, issueClient };
}

let controller: AbortController;
let events: XdsEvent[];
let clients: Client[];

beforeEach(() => {
  controller = new AbortController();
  events = [];
  clients = [];
});

const servers: XdsServer[] = [];
afterEach(async () => {
  for (const client of clients) client.close();
  controller.abort();
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(options: Partial<XdsServerOptions> = {}): Promise<XdsServer> {
  const server = await startXdsServer(
    {
      listen: { host: '127.0.0.1', port: 0 },
      authenticator: trustLoopback(peer),
      observe: (event) => events.push(event),
      limits: { shutdownGraceMs: 300 },
      ...options,
    },
    controller.signal,
  );
  servers.push(server);
  return server;
}

function client(server: XdsServer, options: Parameters<typeof connectClient>[1] = {}): Client {
  const made = connectClient(server.port, options);
  clients.push(made);
  return made;
}

const names = (response: { resources: { name: string }[] }) => response.resources.map((each) => each.name);

it('lets streams in one after the other: the next when the one before has its routes, or goes away', async () => {
  const admission = { atOnce: 1, quietMs: 600_000, holdMs: 600_000 };
  const server = await start({
    ads: new MemoryBackend([cluster('a'), resource(ROUTE_TYPE, '80', Buffer.from('r'))]),
    admission,
  });
  const opened = () => events.filter(({ kind }) => kind === 'opened').length;
  const [first, second, third] = [1, 2, 3].map(() => openDelta(client(server)));
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
  await expectSoon(() => expect(events.filter(({ kind }) => kind === 'closed')).not.toHaveLength(0));
  const fourth = openDelta(client(server));
  fourth.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
  expect((await fourth.next()).resources.map(({ name }) => name)).toEqual(['a']);
});

describe('delta ADS', () => {
  it('sends the wildcard, then only what changed, and what vanished', async () => {
    const ads = new MemoryBackend([cluster('a'), cluster('b')]);
    const stream = openDelta(client(await start({ ads })));
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
    const stream = openDelta(client(await start({ ads })));
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
    const server = await start({ ads });
    const stream = openDelta(client(server));
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
    const stream = openDelta(client(await start({ ads })));
    const initialResourceVersions = { a: cluster('a').version, b: 'older', gone: 'x' };
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE, initialResourceVersions }));
    const response = await stream.next();
    expect(names(response)).toEqual(['b']);
    expect(response.removedResources).toEqual(['gone']);
  });

  it('answers a name that does not exist', async () => {
    const stream = openDelta(client(await start({ ads: new MemoryBackend() })));
    stream.send(deltaRequest({ node, typeUrl: ENDPOINT_TYPE, resourceNamesSubscribe: ['nobody'] }));
    expect((await stream.next()).removedResources).toEqual(['nobody']);
  });

  it('sends a response of many megabytes in parts, to a client that reads slowly', async () => {
    const large = Array.from({ length: 40 }, (_, index) => cluster(`c${index}`, 'x'.repeat(500_000) + index));
    const stream = openDelta(client(await start({ ads: new MemoryBackend(large) })));
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
    const stream = openSotw(client(await start({ ads })));
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
    const stream = openSotw(client(await start({ ads })));
    stream.send(sotwRequest({ node, typeUrl: CLUSTER_TYPE }));
    const response = await stream.next();
    const refusal = { responseNonce: response.nonce, errorDetail: { code: 13, message: 'bad cluster' } };
    stream.send(sotwRequest({ typeUrl: CLUSTER_TYPE, ...refusal }));
    expect(await stream.isQuiet()).toBe(true);
    expect(ads.nacks).toMatchObject([{ typeUrl: CLUSTER_TYPE, message: 'bad cluster' }]);
  });
});

describe('who may call', () => {
  it('serves over TLS to a token that is known, and nobody else', async () => {
    const tls = serverIdentity();
    const ads = new MemoryBackend([cluster('a')]);
    const server = await start({ tls, ads, authenticator: tokens({ good: {} }) });
    const tlsClient = client(server, { rootPem: tls.rootPem, serverName: SERVER_NAME });
    for (const token of [undefined, 'wrong']) {
      const refused = openDelta(tlsClient, token);
      refused.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
      expect(await refused.ended).toMatchObject({ code: status.UNAUTHENTICATED, details: 'the token proves nobody' });
    }
    const stream = openDelta(tlsClient, 'good');
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await stream.next())).toEqual(['a']);
    expect(JSON.stringify(events)).not.toMatch(/good|wrong/);
  });

  it('gives a pod no more streams than an Envoy can need, and others theirs', async () => {
    const authenticator = tokens({ hostile: { podUid: 'u7' }, other: { podUid: 'u8' } });
    const server = await start({ ads: new MemoryBackend([cluster('a')]), authenticator });
    const connect = (token: string) => {
      const stream = openDelta(client(server), token);
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
    const server = await start({ ads: new MemoryBackend([cluster('a')]), authenticator });
    const streams = ['here', 'away'].map((token) => openDelta(client(server), token));
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
    const server = await start({
      tls: { ...tls, clientRootsPem: tls.rootPem },
      ads: new MemoryBackend([cluster('a')]),
      authenticator,
    });
    const uri = 'spiffe://cluster.local/ns/default/sa/sleep';
    for (const own of [undefined, tls.issueClient(uri), stranger.issueClient(uri)]) {
      const to = { rootPem: tls.rootPem, serverName: SERVER_NAME, ...(own === undefined ? {} : { own }) };
      const stream = openDelta(client(server, to), 'good');
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
    const server = await start({ tls, ads: new MemoryBackend([cluster('a')]), authenticator: tokens({ good: {} }) });
    server.setTls(renewed);
    const stream = openDelta(client(server, { rootPem: renewed.rootPem, serverName: SERVER_NAME }), 'good');
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await stream.next())).toEqual(['a']);
  });

  it('ends a stream when its token expires, and serves the renewed one', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const authenticator = tokens({ old: { expiresAtMs: Date.now() + 400 }, renewed: {} });
    const server = await start({ ads, authenticator });
    const one = client(server);
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
    const server = await start({ ads, authenticator, recheckMs: 20 });
    const stream = openDelta(client(server), 'good');
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
    await expect(start({ listen: { host: '0.0.0.0', port: 0 } })).rejects.toThrow(/loopback only/);
    await expect(start({ listen: { host: 'localhost', port: 0 } })).rejects.toThrow(/loopback only/);
  });

  it('passes on what the backend refuses, at connect and later', async () => {
    const ads = new MemoryBackend([cluster('a')]);
    const server = await start({ ads });
    ads.onConnect = () => {
      throw new XdsRefusal('PERMISSION_DENIED', 'the node is not who the token says');
    };
    const refused = openDelta(client(server));
    refused.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(await refused.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    ads.onConnect = () => {};
    const stream = openDelta(client(server));
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
    const stream = openDelta(client(await start({ ads })));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    const first = await stream.next();
    stream.send(deltaRequest({ typeUrl: CLUSTER_TYPE, responseNonce: first.nonce }));
    ads.onDesired = () => {
      throw new Error('a bug');
    };
    ads.set([]);
    expect(await stream.isQuiet()).toBe(true);
    expect(events.some((event) => event.kind === 'backend-failed')).toBe(true);
    ads.onDesired = () => {};
    ads.set([cluster('b')]);
    expect(names(await stream.next())).toEqual(['b']);
  });
});

describe('SDS', () => {
  it('gives no keys by a name by which anybody may come, whatever the token proves', async () => {
    const tls = serverIdentity();
    const options = { tls, authenticator: tokens({ good: {} }), publicNames: new Set([SERVER_NAME]) };
    const secret = resource(SECRET_TYPE, 'default', Buffer.from('key'));
    const server = await start({ ...options, ads: new MemoryBackend([]), sds: new MemoryBackend([secret]) });
    const to = { rootPem: tls.rootPem, serverName: SERVER_NAME };
    const keys = openDelta(client(server, to), 'good', `${SDS}/DeltaSecrets`);
    keys.send(deltaRequest({ node, typeUrl: SECRET_TYPE, resourceNamesSubscribe: ['default'] }));
    expect(await keys.ended).toMatchObject({ code: status.PERMISSION_DENIED });
    const configuration = openDelta(client(server, to), 'good');
    configuration.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(names(await configuration.next())).toEqual([]);
  });

  it('gives secrets by name, and no other type', async () => {
    const sds = new MemoryBackend([resource(SECRET_TYPE, 'default', Buffer.from('s')), cluster('a')]);
    const server = await start({ sds });
    const stream = openDelta(client(server), undefined, `${SDS}/DeltaSecrets`);
    stream.send(deltaRequest({ node, resourceNamesSubscribe: ['default'] }));
    expect(names(await stream.next())).toEqual(['default']);
    const sotw = openSotw(client(server), undefined, `${SDS}/StreamSecrets`);
    sotw.send(sotwRequest({ node, typeUrl: SECRET_TYPE, resourceNames: ['default'] }));
    expect((await sotw.next()).resources).toHaveLength(1);
    const wrong = openDelta(client(server), undefined, `${SDS}/DeltaSecrets`);
    wrong.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    expect(await wrong.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
    const none = openDelta(client(server));
    expect(await none.ended).toMatchObject({ code: status.UNIMPLEMENTED });
  });
});

describe('ends of streams', () => {
  it('says so when it shuts down', async () => {
    const server = await start({ ads: new MemoryBackend([cluster('a')]) });
    const stream = openDelta(client(server));
    stream.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await stream.next();
    controller.abort();
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
    const server = await start({ ads });
    const polite = openDelta(client(server));
    polite.send(deltaRequest({ node, typeUrl: CLUSTER_TYPE }));
    await polite.next();
    polite.close();
    expect(await polite.ended).toMatchObject({ code: status.OK });
    const rude = openDelta(client(server));
    rude.send(deltaRequest({ node, typeUrl: LISTENER_TYPE }));
    await rude.next();
    rude.cancel();
    await rude.ended;
    await expectSoon(() => ads.open).toBe(0);
    expect(events.filter((event) => event.kind === 'closed')).toHaveLength(2);
  });

  it('does not wait for ever for a first request, nor without a node', async () => {
    const server = await start({ ads: new MemoryBackend(), firstRequestMs: 100 });
    expect(await openDelta(client(server)).ended).toMatchObject({ code: status.DEADLINE_EXCEEDED });
    const anonymous = openDelta(client(server));
    anonymous.send(deltaRequest({ typeUrl: CLUSTER_TYPE }));
    expect(await anonymous.ended).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  it('pings: a client that answers stays, one that does not is dropped', async () => {
    const limits = { keepaliveIntervalMs: 50, keepaliveTimeoutMs: 50, shutdownGraceMs: 300 };
    const server = await start({ ads: new MemoryBackend([cluster('a')]), limits });
    const stream = openDelta(client(server));
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
