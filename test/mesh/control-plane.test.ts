// SPDX-License-Identifier: Apache-2.0
// The control plane as a cluster runs it, with a real Envoy that has nothing but its bootstrap, token and root.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildBootstrap } from '../../src/injector/bootstrap.ts';
import { DEFAULT_SETTINGS } from '../../src/injector/settings.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { runControlPlane } from '../../src/runtime/control-plane.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import { freePort } from '../fixture/ports.ts';
import { until as waitUntil } from '../fixture/waiting.ts';
import { type EnvoyProcess, httpGet, startEnvoy } from '../xds/envoy-process.ts';
import { KubeFixture, type TokenOptions } from './kube-fixture.ts';

const envoyPath = findEnvoy();
const dir = mkdtempSync(join(tmpdir(), 'isthmus-plane-'));
const ending = new AbortController();
const logLines: Record<string, unknown>[] = [];
const log = pino({ level: 'debug' }, { write: (line) => logLines.push(JSON.parse(line)) });
let kube: KubeFixture;
let ports: { xds: number; admin: number; webhooks: number };
let running: Promise<void>;
const NS = '/api/v1/namespaces/default';

function object(
  apiVersion: string,
  kind: string,
  name: string,
  rest: Record<string, unknown>,
  namespace?: string,
): KubeObject {
  const { labels, ...others } = rest as { labels?: Record<string, string> };
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
  };
  return { apiVersion, kind, metadata, ...others };
}

beforeAll(async () => {
  kube = await KubeFixture.start();
  kube.put('/api/v1/namespaces', object('v1', 'Namespace', 'istio-system', {}));
  kube.put('/api/v1/namespaces', object('v1', 'Namespace', 'default', { labels: { 'istio-injection': 'enabled' } }));
  kube.put('/api/v1/namespaces', object('v1', 'Namespace', 'other', {}));
  const settings = JSON.stringify({ ...DEFAULT_SETTINGS, proxyImage: 'isthmus/proxyv2:1', clusterId: 'cluster1' });
  kube.put(
    '/api/v1/namespaces/istio-system/configmaps',
    object('v1', 'ConfigMap', 'istio-sidecar-injector', { data: { settings } }, 'istio-system'),
  );
  for (const [plural, kind, name] of [
    ['mutatingwebhookconfigurations', 'MutatingWebhookConfiguration', 'istio-sidecar-injector'],
    ['validatingwebhookconfigurations', 'ValidatingWebhookConfiguration', 'istio-validator'],
  ] as const) {
    const webhooks = [
      { name: 'one', clientConfig: {} },
      { name: 'two', clientConfig: {} },
    ];
    kube.put(
      `/apis/admissionregistration.k8s.io/v1/${plural}`,
      object('admissionregistration.k8s.io/v1', kind, name, { webhooks }),
    );
  }
  kube.put(
    `${NS}/pods`,
    object(
      'v1',
      'Pod',
      'client',
      {
        labels: { app: 'client' },
        spec: { serviceAccountName: 'client', containers: [{ name: 'a' }] },
        status: { podIP: '127.0.0.1' },
      },
      'default',
    ),
  );
  kube.put(
    `${NS}/services`,
    object(
      'v1',
      'Service',
      'reviews',
      {
        spec: { clusterIP: '10.96.0.20', ports: [{ name: 'http', port: 9080 }], selector: { app: 'reviews' } },
      },
      'default',
    ),
  );
  const listening = Promise.withResolvers<typeof ports>();
  const xdsPort = await freePort();
  running = runControlPlane(
    {
      client: kube.client(),
      cluster: 'cluster1',
      trustDomain: 'cluster.local',
      dnsDomain: 'cluster.local',
      host: '127.0.0.1',
      ports: { xds: xdsPort, admin: 0, webhooks: 0 },
      serverNames: ['localhost'],
      secrets: { address: `localhost:${xdsPort}`, ...proxyFiles },
      log,
      onListening: listening.resolve,
    },
    ending.signal,
  );
  running.catch(listening.reject);
  ports = await listening.promise;
});

afterAll(async () => {
  await Promise.all(envoys.map((envoy) => envoy.stop()));
  ending.abort();
  await running;
  kube.close();
  rmSync(dir, { recursive: true, force: true });
});

const proxyFiles = { rootCertPath: join(dir, 'root.pem'), tokenPath: join(dir, 'token') };
const envoys: EnvoyProcess[] = [];

function podUid(name = 'client'): string {
  return kube.get(`${NS}/pods/${name}`)?.metadata.uid ?? '';
}

function tokenFor(change: Partial<TokenOptions> = {}): string {
  return kube.token({
    namespace: 'default',
    serviceAccount: 'client',
    pod: { name: 'client', uid: podUid() },
    ...change,
  });
}

const admin = async (path: string) => {
  const { status: code, body } = await httpGet({ port: ports.admin, path });
  return { code, body };
};

/** The log tells why something did not come. */
async function until(what: string, check: () => Promise<boolean> | boolean): Promise<void> {
  await waitUntil(what, check, 15_000, 50).catch((error: Error) => {
    throw new Error(`${error.message}; last of the log: ${JSON.stringify(logLines.slice(-5), undefined, 1)}`, {
      cause: error,
    });
  });
}

describe('the cluster is made ready for proxies', () => {
  test('ready when everything has been read and listens', async () => {
    await until('ready', async () => (await admin('/ready')).code === 200);
  });

  test('namespaces of the mesh get the root, others do not', async () => {
    const root = await kube.eventually(`${NS}/configmaps/istio-ca-root-cert`);
    await kube.eventually('/api/v1/namespaces/istio-system/configmaps/istio-ca-root-cert');
    expect((root['data'] as Record<string, string>)['root-cert.pem']).toContain('BEGIN CERTIFICATE');
    expect(kube.get('/api/v1/namespaces/other/configmaps/istio-ca-root-cert')).toBeUndefined();
    kube.put('/api/v1/namespaces', object('v1', 'Namespace', 'late', { labels: { 'istio-injection': 'enabled' } }));
    await kube.eventually('/api/v1/namespaces/late/configmaps/istio-ca-root-cert');
  });

  test('without cacerts the CA is self-signed, kept, and warned of', () => {
    expect(kube.get('/api/v1/namespaces/istio-system/secrets/istio-ca-secret')).toBeDefined();
    expect(logLines.some(({ level, msg }) => level === 40 && String(msg).includes('self-signed'))).toBe(true);
  });

  test('every webhook trusts the control plane, again after somebody has applied the manifest', async () => {
    const path = '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations';
    const bundles = () =>
      (kube.get(`${path}/istio-sidecar-injector`)!['webhooks'] as { clientConfig: { caBundle?: string } }[]).map(
        ({ clientConfig }) => clientConfig.caBundle !== undefined,
      );
    await until('bundles', () => bundles().every(Boolean));
    const webhooks = [{ name: 'one', clientConfig: {} }];
    kube.put(
      path,
      object('admissionregistration.k8s.io/v1', 'MutatingWebhookConfiguration', 'istio-sidecar-injector', { webhooks }),
    );
    await until('bundles again', () => bundles().every(Boolean));
  });

  test('what is inside is shown to this machine, metrics to everybody', async () => {
    expect((await admin('/debug/proxies')).code).toBe(200);
    expect((await admin('/metrics')).body).toContain('isthmus_xds_streams');
    expect((await admin('/debug/constructor')).code).toBe(404);
  });
});

interface ProxyOptions {
  podName?: string;
  namespace?: string;
  clusterId?: string;
  token?: string;
}

let started = 0;

describe.skipIf(envoyPath === undefined)('a real Envoy', () => {
  let envoy: EnvoyProcess;
  let healthPort: number;

  beforeAll(async () => {
    const root = await kube.eventually(`${NS}/configmaps/istio-ca-root-cert`);
    writeFileSync(proxyFiles.rootCertPath, (root['data'] as Record<string, string>)['root-cert.pem'] ?? '');
    writeFileSync(proxyFiles.tokenPath, tokenFor());
    ({ envoy, healthPort } = await startProxy({}));
  });

  async function startProxy({ token, ...node }: ProxyOptions): Promise<{ envoy: EnvoyProcess; healthPort: number }> {
    const own = join(dir, `proxy-${started++}`);
    mkdirSync(own);
    const tokenPath = token === undefined ? proxyFiles.tokenPath : join(own, 'token');
    if (token !== undefined) writeFileSync(tokenPath, token);
    const [health, metrics] = [await freePort(), await freePort()];
    const bootstrap = buildBootstrap({
      kind: 'sidecar',
      podName: 'client',
      podIp: '127.0.0.1',
      namespace: 'default',
      serviceAccount: 'client',
      clusterId: 'cluster1',
      network: '',
      dnsDomain: 'cluster.local',
      ads: { address: `localhost:${ports.xds}`, rootCertPath: proxyFiles.rootCertPath, tokenPath },
      sds: { address: `localhost:${ports.xds}`, rootCertPath: proxyFiles.rootCertPath, tokenPath },
      adminPipe: join(own, 'admin.sock'),
      excludeOutboundBy: 'uid',
      healthPort: health,
      metricsPort: metrics,
      ...node,
    });
    const process = startEnvoy(envoyPath!, own, bootstrap);
    envoys.push(process);
    return { envoy: process, healthPort: health };
  }

  const has = async (what: string) => (await envoy.admin('/config_dump?include_eds')).body.includes(what);

  test('becomes ready with its first configuration, and says so on its health port only', async () => {
    await until('ready', async () => (await httpGet({ port: healthPort, path: '/healthz/ready' })).status === 200);
    expect((await httpGet({ port: healthPort, path: '/quitquitquit' })).status).toBe(404);
    expect(await has('outbound|9080||reviews.default.svc.cluster.local')).toBe(true);
  });

  test('has the certificate of the identity that its token proves', async () => {
    await until('certificate', async () =>
      (await envoy.admin('/certs')).body.includes('spiffe://cluster.local/ns/default/sa/client'),
    );
    // The key itself is in no dump.
    expect((await envoy.admin('/config_dump')).body).not.toContain('PRIVATE KEY');
  });

  test('presents it to the control plane when it asks for configuration', async () => {
    const streams = JSON.parse((await admin('/debug/proxies')).body) as { service: string; mutualTls: boolean }[];
    expect(streams.filter(({ service }) => service === 'ads').map(({ mutualTls }) => mutualTls)).toEqual([true]);
  });

  test('a change in the cluster is in Envoy soon after', async () => {
    kube.put(
      `${NS}/services`,
      object(
        'v1',
        'Service',
        'ratings',
        { spec: { clusterIP: '10.96.0.21', ports: [{ name: 'http', port: 9080 }] } },
        'default',
      ),
    );
    await until('ratings', () => has('outbound|9080||ratings.default.svc.cluster.local'));
    kube.remove(`${NS}/services/ratings`);
    await until('no ratings', async () => !(await has('outbound|9080||ratings.default.svc.cluster.local')));
  });

  test('what Envoy refuses is told to the owner of the object behind it', async () => {
    const spec = {
      host: 'reviews.default.svc.cluster.local',
      trafficPolicy: { tls: { mode: 'SIMPLE', caCertificates: '/no/such/file' } },
    };
    const path = '/apis/networking.istio.io/v1/namespaces/default/destinationrules';
    const bad = kube.put(path, object('networking.istio.io/v1', 'DestinationRule', 'bad', { spec }, 'default'));
    const isTold = (request: string) => request === 'POST /api/v1/namespaces/default/events';
    await until('an event', () => kube.requests.some(isTold));
    const event = kube.list(`${NS}/events`)[0];
    expect(event).toMatchObject({
      type: 'Warning',
      reason: 'RefusedByEnvoy',
      involvedObject: { kind: 'DestinationRule', namespace: 'default', name: 'bad', uid: bad.metadata.uid },
      message: expect.stringContaining('/no/such/file'),
    });
    // Everything else goes on.
    kube.put(
      `${NS}/services`,
      object(
        'v1',
        'Service',
        'details',
        { spec: { clusterIP: '10.96.0.22', ports: [{ name: 'http', port: 9080 }] } },
        'default',
      ),
    );
    await until('details', () => has('outbound|9080||details.default.svc.cluster.local'));
    kube.remove(`${path}/bad`);
  });

  test('goes on beyond the end of its token with the renewed one', async () => {
    kube.put(
      `${NS}/pods`,
      object(
        'v1',
        'Pod',
        'short',
        { spec: { serviceAccountName: 'client', containers: [] }, status: { podIP: '127.0.0.1' } },
        'default',
      ),
    );
    const pod = { name: 'short', uid: podUid('short') };
    const own = join(dir, `proxy-${started}`);
    const { envoy: short } = await startProxy({ podName: 'short', token: tokenFor({ pod, lifetimeMs: 3_000 }) });
    const connections = () =>
      logLines.filter(
        ({ msg, proxy, service }) =>
          msg === 'proxy connected' && service === 'ads' && String(proxy).includes('~short.'),
      ).length;
    await until('connected', () => connections() === 1);
    writeFileSync(join(own, 'token'), tokenFor({ pod }));
    await until('ended', () =>
      logLines.some(({ reason, proxy }) => String(reason).includes('expired') && String(proxy).includes('~short.')),
    );
    await until('connected again', () => connections() === 2);
    kube.put(
      `${NS}/services`,
      object(
        'v1',
        'Service',
        'after',
        { spec: { clusterIP: '10.96.0.23', ports: [{ name: 'http', port: 9080 }] } },
        'default',
      ),
    );
    await until('a change after that', async () =>
      (await short.admin('/config_dump')).body.includes('outbound|9080||after.default.svc.cluster.local'),
    );
    await short.stop();
  });

  test.each([
    ['another audience', () => ({ token: tokenFor({ audience: 'api' }) }), '"istio-ca" is needed'],
    ['another namespace', () => ({ namespace: 'other' }), 'its namespace is "other", but its token proves "default"'],
    ['another pod', () => ({ podName: 'reviews' }), 'its pod is "reviews", but its token proves "client"'],
    [
      'another cluster',
      () => ({ clusterId: 'cluster2' }),
      'its cluster is "cluster2", but its token proves "cluster1"',
    ],
    [
      'a pod that is gone',
      () => ({ token: tokenFor({ pod: { name: 'client', uid: 'old' } }) }),
      'does not accept the token',
    ],
    [
      'a token without a pod',
      () => ({ token: kube.token({ namespace: 'default', serviceAccount: 'client' }) }),
      'not bound to a pod',
    ],
    ['a forged token', () => ({ token: `${tokenFor()}x` }), 'does not accept the token'],
    ['no token', () => ({ token: '' }), ''],
  ] as const)('%s gets nothing', async (_, change, reason) => {
    const { envoy: refused, healthPort: port } = await startProxy(change());
    if (reason !== '') await until(reason, () => refused.log().includes(reason));
    else await until('a refusal', () => /Delta\w+ gRPC config stream.*closed/.test(refused.log()));
    expect((await httpGet({ port, path: '/healthz/ready' })).status).not.toBe(200);
    expect((await refused.admin('/config_dump')).body).not.toContain('reviews.default.svc.cluster.local');
    await refused.stop();
  });

  test('no token is in any log', () => {
    const everything = JSON.stringify(logLines) + envoys.map((each) => each.log()).join('');
    for (const token of kube.reviewed) expect(everything).not.toContain(token.slice(-20));
  });
});

test('a plane that is only CA and injector serves keys and webhooks, and no configuration', async () => {
  const own = new AbortController();
  const listening = Promise.withResolvers<typeof ports>();
  const done = runControlPlane(
    {
      client: kube.client(),
      cluster: 'cluster1',
      trustDomain: 'cluster.local',
      dnsDomain: 'cluster.local',
      roles: new Set(['ca', 'injector']),
      host: '127.0.0.1',
      ports: { xds: 0, admin: 0, webhooks: 0 },
      log,
      onListening: listening.resolve,
    },
    own.signal,
  );
  const { admin: port } = await listening.promise;
  await until('ready', async () => (await httpGet({ port, path: '/ready' })).status === 200);
  expect(logLines.findLast(({ msg }) => msg === 'listening')).toMatchObject({ roles: ['ca', 'injector'] });
  own.abort();
  await done;
});
