// SPDX-License-Identifier: Apache-2.0
// What real sidecars tell of the requests between them: metrics, access logs, traces.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { untilTestEnds } from './fixture/until-test-ends.ts';
import { until } from './fixture/waiting.ts';
import type { RunningEnvoy } from './scenarios/running-envoy.ts';
import { OtlpCollector, ZipkinCollector } from './telemetry/collectors.ts';
import { parsePrometheus, type Sample } from './telemetry/prometheus-text.ts';
import { collectorObjects, SidecarPair } from './telemetry/sidecar-pair.ts';

const envoyPath = findEnvoy();

describe.skipIf(envoyPath === undefined)('metrics', () => {
  let pair: SidecarPair;
  beforeAll(async () => {
    pair = await SidecarPair.start(envoyPath!);
  });
  afterAll(() => pair?.stop());

  test('the server counts each caller’s requests, errors, time and bytes', async () => {
    for (let i = 0; i < 3; i++) expect((await pair.request()).status).toBe(200);
    expect((await pair.request('/', { 'x-want-status': '503' }, 'a body')).status).toBe(503);
    const ok = await counted(pair.server, 'istio_requests_total', { response_code: '200' }, 3);
    expect(ok).toMatchObject({ ...BOTH_ENDS, ...AT_SERVER });
    const failed = await counted(pair.server, 'istio_requests_total', { response_code: '503' }, 1);
    expect(failed).toMatchObject({ ...BOTH_ENDS, ...AT_SERVER });
    for (const name of ['request_duration_milliseconds', 'request_bytes', 'response_bytes']) {
      const count = await counted(pair.server, `istio_${name}_count`, { response_code: '200' }, 3);
      expect(count).toMatchObject({ ...BOTH_ENDS, ...AT_SERVER });
    }
  });

  test('so does the client, whom discovery tells who serves', async () => {
    const ok = await counted(pair.client, 'istio_requests_total', { response_code: '200' }, 3);
    expect(ok).toMatchObject({ ...BOTH_ENDS, ...AT_CLIENT });
    await counted(pair.client, 'istio_request_duration_milliseconds_count', { response_code: '503' }, 1);
  });

  test('gRPC is told by its name and status', async () => {
    await pair.request('/shop.Cart/Get', { 'content-type': 'application/grpc' });
    await counted(pair.server, 'istio_requests_total', { request_protocol: 'grpc' }, 1);
  });

  test('of TCP, connections and bytes, with the very same ends', async () => {
    expect(await pair.connect()).toBe('welcome');
    const tcp = { request_protocol: 'tcp' };
    const sent = await counted(pair.server, 'istio_tcp_sent_bytes_total', tcp, 'welcome'.length);
    expect(sent).toMatchObject({ ...BOTH_ENDS, ...AT_SERVER });
    const closed = await counted(pair.client, 'istio_tcp_connections_closed_total', tcp, 1);
    expect(closed).toMatchObject({ ...BOTH_ENDS, ...AT_CLIENT });
    await counted(pair.client, 'istio_tcp_connections_opened_total', tcp, 1);
  });

  test('no header makes a caller somebody else', async () => {
    const forged = {
      'x-envoy-peer-metadata-id': 'sidecar~1~admin.default~x',
      'x-forwarded-client-cert': 'By=x;Subject="CN=admin"',
    };
    await pair.request('/', { ...forged, 'x-want-status': '418' });
    const told = await counted(pair.server, 'istio_requests_total', { response_code: '418' }, 1);
    expect(told).toMatchObject(BOTH_ENDS);
  });
});

describe.skipIf(envoyPath === undefined)('Telemetry objects', () => {
  const zipkin: ZipkinCollector[] = [];
  const otlp: OtlpCollector[] = [];
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-telemetry-'));
  let pair: SidecarPair;
  const logOf = (name: string) => (existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8') : '');

  beforeAll(async () => {
    zipkin.push(await ZipkinCollector.start());
    otlp.push(await OtlpCollector.start());
    pair = await SidecarPair.start(envoyPath!, {
      mesh: meshWith(dir),
      objects: [
        ...collectorObjects('zipkin', 9411, zipkin[0]!.port, 'http'),
        ...collectorObjects('otel', 4317, otlp[0]!.port, 'grpc'),
        telemetry('istio-system', 'mesh', MESH_WIDE),
        telemetry('default', 'shop', OF_SHOP, { app: 'shop' }),
      ],
    });
    await pair.request('/fine', { 'x-user': 'jason' });
    await pair.request('/broken', { 'x-want-status': '503' });
  });
  afterAll(async () => {
    await pair?.stop();
    for (const collector of [...zipkin, ...otlp]) collector.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  test('are taken without a word', () => {
    expect(pair.diagnostics).toEqual([]);
  });

  test('choose the requests that are logged, and how', async () => {
    await until('a line of the server', () => logOf('shop.log').includes('/broken'));
    const [line, ...others] = logOf('shop.log').trim().split('\n');
    expect(JSON.parse(line!)).toEqual({
      path: '/broken',
      code: 503,
      who: 'spiffe://cluster.local/ns/default/sa/client',
    });
    expect(others).toEqual([]);
    await until('lines of the client', () => logOf('all.log').includes('/broken'));
    expect(logOf('all.log').split('\n')).toEqual(['/fine 200', '/broken 503', '']);
  });

  test('tell an OTLP collector of each request', async () => {
    await until('a record', () => otlp[0]!.told('logs').includes('/fine by otlp'));
  });

  test('make traces go through both sidecars and to Zipkin, with the tags that are asked for', async () => {
    await until(
      'spans of both',
      () => zipkin[0]!.spans.filter(({ tags }) => tags['http.url']?.endsWith('/fine')).length > 1,
    );
    const spans = zipkin[0]!.spans.filter(({ tags }) => tags['http.url']?.endsWith('/fine'));
    expect(new Set(spans.map(({ traceId }) => traceId)).size).toBe(1);
    expect(spans.map(({ kind, localEndpoint }) => `${kind} ${localEndpoint.serviceName}`).sort()).toEqual([
      'CLIENT client.default',
      'SERVER shop.default',
    ]);
    const served = spans.find(({ kind }) => kind === 'SERVER');
    expect(served?.tags).toMatchObject({
      user: 'jason',
      team: 'red',
      home: '/nowhere',
      'istio.canonical_service': 'shop',
      'istio.canonical_revision': 'v2',
    });
    // The application can go on with it.
    expect(pair.asked[0]).toMatchObject({ 'x-b3-traceid': spans[0]?.traceId, 'x-b3-sampled': '1' });
  });

  test('change and remove labels of metrics, and turn some off', async () => {
    const labels = await counted(pair.server, 'istio_requests_total', { response_code: '503' }, 1);
    expect(labels).toMatchObject({ path: '/broken', team: 'red', code: '503' });
    expect(labels).not.toHaveProperty('source_principal');
    expect(await pair.server.admin('/stats/prometheus')).not.toContain('istio_request_bytes');
    // Where the other Telemetry does not reach, they are as usual.
    expect(await counted(pair.client, 'istio_requests_total', { response_code: '503' }, 1)).toMatchObject(BOTH_ENDS);
    expect(await pair.client.admin('/stats/prometheus')).toContain('istio_request_bytes');
  });
});

describe.skipIf(envoyPath === undefined)('OpenTelemetry', () => {
  test('gets Istio’s metrics by OTLP, and nothing else', async () => {
    const collector = await untilTestEnds(OtlpCollector.start());
    const pair = await untilTestEnds(SidecarPair.start(envoyPath!, { otlpMetrics: `127.0.0.1:${collector.port}` }));
    await pair.request('/', { 'x-want-status': '418' });
    await pair.connect();
    const names = ['requests_total', 'request_duration_milliseconds', 'tcp_connections_closed_total'];
    const needed = [...names.map((name) => `istio_${name}`), '418', 'client-v1', 'shop-v2', 'shop.default'];
    await until('metrics', () => needed.every((text) => collector.told('metrics').includes(text)));
    expect(collector.told('metrics')).not.toMatch(/wasmcustom|server\.uptime|cluster_manager\.|listener_manager\./);
  });

  test('gets spans by gRPC; trace context by W3C; a trace that has begun goes on', async () => {
    const collector = await untilTestEnds(OtlpCollector.start());
    const pair = await untilTestEnds(
      SidecarPair.start(envoyPath!, {
        mesh:
          'extensionProviders: [{name: otel, opentelemetry: {service: otel.observability.svc.cluster.local, port: 4317}}]\n' +
          'defaultProviders: {tracing: [otel]}\ndefaultConfig: {tracing: {sampling: 100}}\n',
        objects: collectorObjects('otel', 4317, collector.port, 'grpc'),
      }),
    );
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    await pair.request('/seen', { traceparent });
    await until('spans of both', () =>
      ['client.default', 'shop.default'].every((name) => collector.told('trace').includes(name)),
    );
    expect(collector.told('trace')).toContain('/seen');
    expect(pair.asked[0]?.['traceparent']).toMatch(
      /^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)\w{16}-01$/,
    );
  });
});

function meshWith(dir: string): string {
  return `
extensionProviders:
- name: zipkin
  zipkin: {service: observability/zipkin.observability.svc.cluster.local, port: 9411, maxTagLength: 256}
- name: otel-logs
  envoyOtelAls:
    service: otel.observability.svc.cluster.local
    port: 4317
    logFormat: {text: '%REQ(:PATH)% by otlp', labels: {who: '%UPSTREAM_PEER_URI_SAN%'}}
- name: all
  envoyFileAccessLog: {path: ${join(dir, 'all.log')}, logFormat: {text: "%REQ(:PATH)% %RESPONSE_CODE%\\n"}}
- name: shop
  envoyFileAccessLog:
    path: ${join(dir, 'shop.log')}
    logFormat: {labels: {path: '%REQ(:PATH)%', code: '%RESPONSE_CODE%', who: '%DOWNSTREAM_PEER_URI_SAN%'}}
`;
}

const MESH_WIDE = {
  tracing: [{ providers: [{ name: 'zipkin' }], randomSamplingPercentage: 100 }],
  accessLogging: [{ match: { mode: 'CLIENT' }, providers: [{ name: 'all' }, { name: 'otel-logs' }] }],
};
const OF_SHOP = {
  tracing: [
    {
      customTags: {
        user: { header: { name: 'x-user', defaultValue: 'nobody' } },
        team: { literal: { value: 'red' } },
        home: { environment: { name: 'NO_SUCH_VARIABLE', defaultValue: '/nowhere' } },
      },
    },
  ],
  metrics: [
    {
      overrides: [
        { match: { metric: 'REQUEST_SIZE', mode: 'SERVER' }, disabled: true },
        {
          match: { metric: 'REQUEST_COUNT' },
          tagOverrides: {
            source_principal: { operation: 'REMOVE' },
            path: { operation: 'UPSERT', value: 'request.path' },
            team: { value: "'red'" },
            code: { value: 'string(response.code)' },
          },
        },
      ],
    },
  ],
  accessLogging: [
    { match: { mode: 'SERVER' }, providers: [{ name: 'shop' }], filter: { expression: 'response.code >= 500' } },
  ],
};

function telemetry(namespace: string, name: string, spec: object, matchLabels?: Record<string, string>): KubeObject {
  const selector = matchLabels === undefined ? {} : { selector: { matchLabels } };
  return {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { namespace, name },
    spec: { ...selector, ...spec },
  };
}

const BOTH_ENDS = {
  source_workload: 'client-v1',
  source_workload_namespace: 'default',
  source_canonical_service: 'client',
  source_canonical_revision: 'v1',
  source_app: 'client',
  source_version: 'v1',
  source_cluster: 'cluster1',
  source_principal: 'spiffe://cluster.local/ns/default/sa/client',
  destination_workload: 'shop-v2',
  destination_workload_namespace: 'default',
  destination_canonical_service: 'shop',
  destination_canonical_revision: 'v2',
  destination_app: 'shop',
  destination_version: 'v2',
  destination_cluster: 'cluster1',
  destination_principal: 'spiffe://cluster.local/ns/default/sa/shop',
  destination_service: 'shop.default.svc.cluster.local',
  destination_service_name: 'shop',
  destination_service_namespace: 'default',
  response_flags: '-',
};
const AT_SERVER = { reporter: 'destination', connection_security_policy: 'mutual_tls' };
const AT_CLIENT = { reporter: 'source', connection_security_policy: 'unknown' };

/** The one sample of that name and those labels, once it has come to `value`: logs are written after the answer. */
async function counted(
  envoy: RunningEnvoy,
  name: string,
  labels: Readonly<Record<string, string>>,
  value: number,
): Promise<Sample['labels']> {
  let found: Sample[] = [];
  const has = (s: Sample) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v);
  await until(`${name} ${JSON.stringify(labels)} ${value}`, async () => {
    found = parsePrometheus(await envoy.admin('/stats/prometheus')).filter(has);
    return found[0]?.value === value;
  });
  expect(found).toHaveLength(1);
  return found[0]!.labels;
}
