// SPDX-License-Identifier: Apache-2.0
// The discovery server with a real Envoy: ADS and SDS over TLS, with google_grpc and a token from a file.
import { createPrivateKey } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Authority } from '../../src/identity/authority.ts';
import { makeIntermediate, makeRoot } from '../../src/identity/ca-material.ts';
import { spiffeId } from '../../src/identity/spiffe.ts';
import { WorkloadSecrets } from '../../src/identity/workload-secrets.ts';
import { generateKeyPair, issueCertificate, privateKeyPem } from '../../src/pki/x509.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import { sdsGrpcService } from '../../src/xds/envoy-client.ts';
import { startXdsServer, type XdsServer } from '../../src/xds/server.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SECRET_TYPE,
} from '../../src/xds/session/type-urls.ts';
import type { XdsEvent } from '../../src/xds/stream.ts';
import { type PeerIdentity, type XdsBackend, XdsRefusal, type XdsResource } from '../../src/xds/types.ts';
import { freePort } from '../fixture/ports.ts';
import { expectSoon } from '../fixture/waiting.ts';
import { type EnvoyProcess, httpGet, startEnvoy } from './envoy-process.ts';
import { badRoutes, edsCluster, endpoints, listener, mutualTls, NEVER, routes } from './envoy-resources.ts';
import { MemoryBackend } from './memory-backend.ts';

const envoyBin = findEnvoy();
const workload = { trustDomain: 'cluster.local', namespace: 'default', serviceAccount: 'sleep' };
const serverId = spiffeId({ ...workload, serviceAccount: 'server' });
const peer: PeerIdentity = {
  ...workload,
  clusterName: 'c',
  podName: 'p',
  podUid: 'u',
  expiresAtMs: Number.POSITIVE_INFINITY,
};

describe.skipIf(envoyBin === undefined)('a real Envoy (skipped without ENVOY_BIN or .tools/envoy)', () => {
  let dir: string;
  let envoy: EnvoyProcess;
  let server: XdsServer;
  let stopServer = new AbortController();
  let listenerPort: number;
  let base: XdsResource[];
  let xdsPort = 0;
  const upstreams: Server[] = [];
  const events: XdsEvent[] = [];
  const tokens = new Map<string, Partial<PeerIdentity>>([['one', {}]]);
  const ads = new MemoryBackend();
  const now = Date.now();
  const root = makeRoot({ organization: 'T', commonName: 'root', days: 1, nowMs: now });
  const authority = new Authority(
    makeIntermediate(root, { organization: 'T', commonName: 'ca', days: 1, nowMs: now }),
    now,
  );
  const secrets = new WorkloadSecrets(authority);
  const tokenPath = () => join(dir, 'token');

  async function serve(): Promise<void> {
    stopServer = new AbortController();
    server = await startXdsServer(
      {
        listen: { host: '127.0.0.1', port: xdsPort },
        tls: serverTls,
        ads,
        sds: sdsBackend,
        authenticator: {
          async authenticate(token) {
            const known = tokens.get(token ?? '');
            if (known === undefined) throw new XdsRefusal('UNAUTHENTICATED', 'unknown token');
            return { ...peer, ...known };
          },
        },
        observe: (event) => events.push(event),
        limits: { shutdownGraceMs: 500 },
      },
      stopServer.signal,
    );
    xdsPort = server.port;
  }

  let secretsAreHeld: Promise<void> | undefined;
  const sdsBackend: XdsBackend = {
    async connect(proved, _node, changed) {
      await secretsAreHeld;
      const subscription = secrets.open({ id: spiffeId(proved), instance: proved.podUid }, changed);
      return {
        desired: () => new Map([[SECRET_TYPE, subscription.resources()]]),
        acknowledged: () => {},
        rejected: () => {},
        closed: () => subscription.close(),
      };
    },
  };

  const serverTls = (() => {
    const key = generateKeyPair();
    const certPem = issueCertificate({
      subject: {},
      publicKey: key.publicKey,
      selfKey: key.privateKey,
      issuer: { certPem: root.certPem, key: rootKey() },
      ipAddresses: ['127.0.0.1'],
      notBefore: new Date(now - 60_000),
      notAfter: new Date(now + 3600_000),
      usages: ['serverAuth'],
    });
    return { certPem, keyPem: privateKeyPem(key.privateKey) };
  })();

  function rootKey() {
    return createPrivateKey(root.keyPem);
  }

  async function upstream(answer: string, secure: boolean): Promise<number> {
    const issued = authority.issueWorkload(serverId, 3600_000, now);
    const tls = {
      cert: issued.chainPem,
      key: issued.keyPem,
      ca: root.certPem,
      requestCert: true,
      rejectUnauthorized: true,
    };
    const made = secure
      ? createHttpsServer(tls, (request, response) => {
          const socket = request.socket as TLSSocket;
          response.end(`${answer} ${socket.getPeerCertificate().subjectaltname} ${socket.getProtocol()}`);
        })
      : createHttpServer((_request, response) => response.end(answer));
    upstreams.push(made as Server);
    await new Promise<void>((resolve) => {
      made.listen(0, '127.0.0.1', resolve);
    });
    return (made.address() as AddressInfo).port;
  }

  const get = async (path: string) => httpGet({ port: listenerPort, path });
  const since = (index: number) => events.slice(index);
  const sentTypes = (index: number) => since(index).flatMap((event) => (event.kind === 'sent' ? [event.typeUrl] : []));

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'isthmus-xds-'));
    writeFileSync(join(dir, 'root.pem'), root.certPem);
    writeFileSync(tokenPath(), 'one');
    listenerPort = await freePort();
    const [one, two, safe] = await Promise.all([
      upstream('one', false),
      upstream('two', false),
      upstream('safe', true),
    ]);
    await serve();
    const endpoint = { address: `127.0.0.1:${xdsPort}`, rootCertPath: join(dir, 'root.pem'), tokenPath: tokenPath() };
    base = [
      edsCluster('one'),
      edsCluster('two'),
      edsCluster('safe', mutualTls(endpoint, serverId)),
      edsCluster('nobody'),
      endpoints('one', one),
      endpoints('two', two),
      endpoints('safe', safe),
      listener('web', listenerPort, 'web'),
      routes('web', { '/safe': 'safe', '/': 'one' }),
    ];
    ads.set(base);
    envoy = startEnvoy(envoyBin as string, dir, {
      node: {
        id: 'sidecar~127.0.0.1~p.default~default.svc.cluster.local',
        cluster: 'p',
        metadata: { NAMESPACE: 'default' },
      },
      dynamic_resources: {
        ads_config: {
          api_type: 'DELTA_GRPC',
          transport_api_version: 'V3',
          set_node_on_first_message_only: true,
          grpc_services: [sdsGrpcService(endpoint)],
        },
        cds_config: { ads: {}, resource_api_version: 'V3' },
        lds_config: { ads: {}, resource_api_version: 'V3' },
      },
    });
  });

  afterAll(async () => {
    await envoy?.stop();
    stopServer.abort();
    await server?.close();
    secrets.close();
    for (const each of upstreams) each.close();
    rmSync(dir, { recursive: true });
  });

  it('gets its configuration, though one cluster has no endpoints', async () => {
    await expectSoon(() => get('/').then((answer) => answer.body)).toBe('one');
    expect(ads.nacks).toEqual([]);
    expect(ads.connected[0]?.node).toMatchObject({
      metadata: { NAMESPACE: 'default' },
      userAgentVersion: expect.stringMatching(/^1\.\d+\.\d+$/),
    });
  });

  it('gets its key by SDS, and both ends prove who they are', async () => {
    await expectSoon(() => get('/safe').then((answer) => answer.body)).toBe(
      'safe URI:spiffe://cluster.local/ns/default/sa/sleep TLSv1.3',
    );
  });

  it('takes a new intermediate without a restart', async () => {
    const second = makeIntermediate(root, { organization: 'T', commonName: 'second ca', days: 1, nowMs: now });
    const issuer = async () => (await envoy.admin('/certs')).body;
    const serialBefore = await issuer();
    secrets.setAuthority(new Authority(second, now));
    await expectSoon(issuer).not.toBe(serialBefore);
    expect((await get('/safe')).status).toBe(200);
  });

  it('follows a changed route, and is sent nothing else', async () => {
    const index = events.length;
    ads.set([...base.slice(0, -1), routes('web', { '/safe': 'safe', '/': 'two' })]);
    await expectSoon(() => get('/').then((answer) => answer.body)).toBe('two');
    expect(sentTypes(index)).toEqual([ROUTE_TYPE]);
  });

  it('warms a changed cluster at once, though its endpoints did not change', async () => {
    const changed = base.map((each) =>
      each.typeUrl === CLUSTER_TYPE && each.name === 'one' ? edsCluster('one', { connect_timeout: '2s' }, NEVER) : each,
    );
    base = changed;
    ads.set(base);
    await expectSoon(() => get('/').then((answer) => answer.body)).toBe('one');
    await expectSoon(
      async () => (await envoy.admin('/config_dump?resource=dynamic_warming_clusters')).body,
    ).not.toContain('"one"');
    await expectSoon(() =>
      server
        .streams()
        .find((each) => each.service === 'ads')
        ?.types.every((type) => !type.outstanding),
    ).toBe(true);
  });

  it('refuses a bad route by itself: what came with it works, what was before stays', async () => {
    const other = await freePort();
    const [front] = [listener('bad', other, 'bad')];
    ads.set([...base.slice(0, -1), front, routes('web', { '/safe': 'safe', '/': 'two' }), badRoutes('bad')]);
    await expectSoon(() => ads.nacks.length).toBe(1);
    await expectSoon(() => get('/').then((answer) => answer.body)).toBe('two');
    expect([...(ads.nacks[0]?.resources.keys() ?? [])]).toEqual(['bad']);
    expect(ads.nacks[0]?.message).toMatch(/domain/i);
    ads.set(base);
    await expectSoon(() => get('/').then((answer) => answer.body)).toBe('one');
  });

  it('shifts to a new cluster and back without a failed request', async () => {
    const port = await upstream('three', false);
    const extended = [
      ...base.slice(0, -1),
      edsCluster('three'),
      endpoints('three', port),
      routes('web', { '/': 'three' }),
    ];
    let isRunning = true;
    const statuses: number[] = [];
    const load = (async () => {
      while (isRunning) statuses.push((await get('/')).status);
    })();
    for (const [state, expected] of [
      [extended, 'three'],
      [base, 'one'],
      [extended, 'three'],
      [base, 'one'],
    ] as const) {
      ads.set(state);
      await expectSoon(() => get('/').then((answer) => answer.body)).toBe(expected);
    }
    isRunning = false;
    await load;
    expect(statuses.length).toBeGreaterThan(10);
    expect(statuses.filter((status) => status !== 200)).toEqual([]);
    await expectSoon(async () => (await envoy.admin('/clusters')).body).not.toContain('three::');
  });

  it('goes on when the server goes away, and is sent nothing again when it comes back', async () => {
    const index = events.length;
    stopServer.abort();
    await server.close();
    expect((await get('/')).body).toBe('one');
    await serve();
    await expectSoon(() => server.streams().filter((each) => each.service === 'ads').length).toBe(1);
    await expectSoon(
      () => server.streams().find((each) => each.service === 'ads')?.types.length,
    ).toBeGreaterThanOrEqual(4);
    const resent = since(index).filter(
      (event) => event.kind === 'sent' && event.stream.service === 'ads' && event.resources > 0,
    );
    expect(resent).toEqual([]);
    ads.set([...base.slice(0, -1), routes('web', { '/': 'two' })]);
    await expectSoon(() => get('/').then((answer) => answer.body)).toBe('two');
    ads.set(base);
  });

  it('asks for clusters last when it comes back while some are warming: sessions rely on it', async () => {
    const { promise, resolve: release } = Promise.withResolvers<void>();
    secretsAreHeld = promise;
    const endpoint = { address: `127.0.0.1:${xdsPort}`, rootCertPath: join(dir, 'root.pem'), tokenPath: tokenPath() };
    // Another source of the same secret, which does not answer: the cluster cannot finish warming.
    const slow = JSON.parse(JSON.stringify(mutualTls(endpoint, serverId)).replaceAll('"sds"', '"sds2"'));
    ads.set(
      base.map((each) => (each.typeUrl === CLUSTER_TYPE && each.name === 'safe' ? edsCluster('safe', slow) : each)),
    );
    const warming = async () => (await envoy.admin('/config_dump?resource=dynamic_warming_clusters')).body;
    await expectSoon(warming).toContain('"safe"');
    stopServer.abort();
    await server.close();
    await serve();
    const types = () =>
      server
        .streams()
        .find((each) => each.service === 'ads')
        ?.types.map((each) => each.typeUrl) ?? [];
    await expectSoon(() => types().length).toBe(3);
    expect(types()).not.toContain(CLUSTER_TYPE);
    secretsAreHeld = undefined;
    release();
    await expectSoon(types).toContain(CLUSTER_TYPE);
    await expectSoon(warming).not.toContain('"safe"');
    ads.set(base);
    await expectSoon(() => get('/safe').then((answer) => answer.status)).toBe(200);
  });

  it('is let go when its token expires, and comes back with the renewed one', async () => {
    // From when it is shown, however long the machine takes until then.
    tokens.set('short', {
      get expiresAtMs() {
        return Date.now() + 3000;
      },
    });
    writeFileSync(tokenPath(), 'short');
    stopServer.abort();
    await server.close();
    await serve();
    const adsStreams = () => server.streams().filter((each) => each.service === 'ads');
    await expectSoon(() => adsStreams()[0]?.peer.expiresAtMs).toBeLessThan(Number.POSITIVE_INFINITY);
    tokens.set('renewed', { podName: 'renewed' });
    writeFileSync(tokenPath(), 'renewed');
    tokens.delete('one');
    tokens.delete('short');
    const index = events.length;
    await expectSoon(() => adsStreams()[0]?.peer.podName).toBe('renewed');
    expect(since(index).some((event) => event.kind === 'closed' && event.status === 'UNAUTHENTICATED')).toBe(true);
    expect((await get('/')).status).toBe(200);
    expect(JSON.stringify(events)).not.toContain('PRIVATE KEY');
  });

  it('acknowledged every type', () => {
    const acked = new Set(ads.acks.map((ack) => ack.typeUrl));
    for (const type of [CLUSTER_TYPE, ENDPOINT_TYPE, LISTENER_TYPE, ROUTE_TYPE]) expect(acked).toContain(type);
  });
});
