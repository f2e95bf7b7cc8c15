// SPDX-License-Identifier: Apache-2.0
// How real sidecars tell collectors of traces: by TLS, with headers of their own; and what they pass on.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import type { KubeObject } from '../src/kube/types.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { TestAuthority } from './fixture/test-authority.ts';
import { untilTestEnds } from './fixture/until-test-ends.ts';
import { until } from './fixture/waiting.ts';
import { DatadogAgent, OtlpCollector, ZipkinCollector } from './telemetry/collectors.ts';
import { collectorObjects, SidecarPair } from './telemetry/sidecar-pair.ts';

const envoyPath = findEnvoy();
const ZIPKIN = 'zipkin.observability.svc.cluster.local';
const OTEL = 'otel.observability.svc.cluster.local';
const DATADOG = 'datadog.observability.svc.cluster.local';
const SKYWALKING = 'skywalking.observability.svc.cluster.local';

const dir = mkdtempSync(join(tmpdir(), 'isthmus-tracing-'));
const roots = join(dir, 'roots.pem');
const [ours, strangers] = [new TestAuthority(), new TestAuthority()];
writeFileSync(roots, ours.rootPem);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(envoyPath === undefined)('collectors that speak TLS', () => {
  test('are told by the mesh’s tlsSettings, if they prove who they are', async () => {
    const collectors = [
      await untilTestEnds(ZipkinCollector.start(keysOf(ZIPKIN))),
      await untilTestEnds(ZipkinCollector.start(keysOf(ZIPKIN, strangers))),
    ];
    const pairs = await Promise.all(
      collectors.map(({ port }) =>
        untilTestEnds(
          SidecarPair.start(envoyPath!, {
            mesh: `
enableTracing: true
defaultConfig:
  tracing:
    zipkin: {address: 'zipkin.observability:9411'}
    sampling: 100
    tlsSettings: {mode: SIMPLE, caCertificates: ${roots}}
`,
            objects: collectorObjects('zipkin', 9411, port, 'http'),
          }),
        ),
      ),
    );
    expect(pairs[0]!.diagnostics).toEqual([]);
    await pairs[1]!.request('/secret');
    await pairs[0]!.request('/seen');
    await until('spans of both sidecars', () => collectors[0]!.spans.length === 2);
    // Both sidecars have tried to tell the impostor, which got no span.
    const fault = `cluster.outbound|9411||${ZIPKIN}.ssl.fail_verify_error`;
    await until('a handshake that fails', async () => Number(await statistic(pairs[1]!, fault)) > 0);
    expect(collectors[1]!.asked).toEqual([]);
  });

  test('are told by a DestinationRule: Zipkin with headers, ids of 64 bits and tags by format', async () => {
    const collector = await untilTestEnds(ZipkinCollector.start(keysOf(ZIPKIN)));
    const pair = await untilTestEnds(
      SidecarPair.start(envoyPath!, {
        mesh: `
extensionProviders:
- name: zipkin
  zipkin:
    service: ${ZIPKIN}
    port: 9411
    timeout: 2s
    enable64bitTraceId: true
    headers: [{name: authorization, value: Bearer x}]
`,
        objects: [
          ...collectorObjects('zipkin', 9411, collector.port, 'http'),
          byTls(ZIPKIN),
          telemetry({ ...ALWAYS('zipkin'), customTags: { asked: { formatter: { value: '%REQ(:METHOD)% %%' } } } }),
        ],
      }),
    );
    await pair.request('/seen');
    await until('spans of both sidecars', () => collector.spans.length === 2);
    expect(collector.asked[0]).toMatchObject({ authorization: 'Bearer x', host: `${ZIPKIN}:9411` });
    for (const { traceId, tags } of collector.spans) {
      expect(traceId).toMatch(/^[0-9a-f]{16}$/);
      expect(tags['asked']).toBe('GET %');
    }
  });

  test('are told by a DestinationRule: OTLP of spans and of access logs, with metadata', async () => {
    const collector = await untilTestEnds(OtlpCollector.start(keysOf(OTEL)));
    const pair = await untilTestEnds(
      SidecarPair.start(envoyPath!, {
        mesh: `
extensionProviders:
- name: otel
  opentelemetry: {service: ${OTEL}, port: 4317, grpc: {initialMetadata: [{name: x-team, value: red}]}}
- name: logs
  envoyOtelAls: {service: ${OTEL}, port: 4317, logFormat: {text: '%REQ(:PATH)% by otlp'}}
`,
        objects: [
          ...collectorObjects('otel', 4317, collector.port, 'grpc'),
          byTls(OTEL),
          telemetry(ALWAYS('otel'), [{ providers: [{ name: 'logs' }] }]),
        ],
      }),
    );
    await pair.request('/seen');
    await until('spans', () => collector.told('trace').includes('/seen'));
    await until('records', () => collector.told('logs').includes('/seen by otlp'));
    const spans = collector.asked.find((headers) => headers[':path']?.includes('.trace.'));
    expect(spans).toMatchObject({ 'x-team': 'red' });
  });
});

describe.skipIf(envoyPath === undefined)('other tracers', () => {
  test('Datadog’s agent is told by which services a request went', async () => {
    const agent = await DatadogAgent.start();
    const pair = await SidecarPair.start(envoyPath!, {
      mesh: `extensionProviders: [{name: datadog, datadog: {service: ${DATADOG}, port: 8126, maxTagLength: 64}}]`,
      objects: [...collectorObjects('datadog', 8126, agent.port, 'http'), telemetry(ALWAYS('datadog'))],
    });
    try {
      expect(pair.diagnostics).toEqual([]);
      await pair.request('/seen');
      await until('spans of both sidecars', () => ['client.default', 'shop.default'].every((name) => agent.has(name)));
      expect(agent.has('/seen')).toBe(true);
      expect(pair.asked[0]).toHaveProperty('x-datadog-trace-id');
    } finally {
      await pair.stop();
      agent.stop();
    }
  });

  test('SkyWalking’s collector is told by which services, if it is shown the token', async () => {
    const collector = await OtlpCollector.start();
    const pair = await SidecarPair.start(envoyPath!, {
      mesh: `extensionProviders: [{name: sky, skywalking: {service: ${SKYWALKING}, port: 11800, accessToken: let-me-in}}]`,
      objects: [...collectorObjects('skywalking', 11800, collector.port, 'grpc'), telemetry(ALWAYS('sky'))],
    });
    try {
      expect(pair.diagnostics).toEqual([]);
      await pair.request('/seen');
      const told = () => collector.streamed('/skywalking.v3.TraceSegmentReportService/collect');
      await until('segments of both', () => ['client.default', 'shop.default'].every((name) => told().includes(name)));
      expect(told()).toContain('/seen');
      expect(collector.opened).toContainEqual(expect.objectContaining({ authentication: 'let-me-in' }));
      expect(pair.asked[0]).toHaveProperty('sw8');
    } finally {
      await pair.stop();
      collector.stop();
    }
  });
});

describe.skipIf(envoyPath === undefined)('a service of access logs', () => {
  test('is told of requests by the one provider, and of connections by the other', async () => {
    const collector = await untilTestEnds(OtlpCollector.start());
    const pair = await untilTestEnds(
      SidecarPair.start(envoyPath!, {
        mesh: `
extensionProviders:
- name: requests
  envoyHttpAls: {service: ${OTEL}, port: 4317, logName: of-requests, additionalRequestHeadersToLog: [x-user]}
- name: connections
  envoyTcpAls: {service: ${OTEL}, port: 4317, logName: of-connections}
`,
        objects: [
          ...collectorObjects('otel', 4317, collector.port, 'grpc'),
          telemetry({}, [{ providers: [{ name: 'requests' }, { name: 'connections' }], match: { mode: 'CLIENT' } }]),
        ],
      }),
    );
    expect(pair.diagnostics).toEqual([]);
    await pair.request('/seen', { 'x-user': 'jason' });
    expect(await pair.connect()).toBe('welcome');
    const said = () => collector.streamed('/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs');
    await until('both kinds', () => ['of-requests', 'of-connections'].every((name) => said().includes(name)));
    for (const text of ['/seen', 'jason', 'outbound|5432||shop.default.svc.cluster.local'])
      expect(said()).toContain(text);
  });
});

describe.skipIf(envoyPath === undefined)('a trace', () => {
  test('ends with a proxy that does not pass it on, and is told of all the same', async () => {
    const collector = await untilTestEnds(ZipkinCollector.start());
    const pair = await untilTestEnds(
      SidecarPair.start(envoyPath!, {
        mesh: `extensionProviders: [{name: zipkin, zipkin: {service: ${ZIPKIN}, port: 9411}}]`,
        objects: [
          ...collectorObjects('zipkin', 9411, collector.port, 'http'),
          telemetry({ ...ALWAYS('zipkin'), disableContextPropagation: true }),
        ],
      }),
    );
    await pair.request('/seen');
    await until('spans of both sidecars', () => collector.spans.length === 2);
    // The server's sidecar was told of no trace, and began one; the application was told of none either.
    expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(2);
    expect(Object.keys(pair.asked[0]!).filter((name) => /^(x-b3-|traceparent|b3$)/.test(name))).toEqual([]);
  });

  test('goes by the decision in x-request-id, unless that is not to be believed', async () => {
    const collector = await untilTestEnds(ZipkinCollector.start());
    const start = (more: object) =>
      untilTestEnds(
        SidecarPair.start(envoyPath!, {
          mesh: `extensionProviders: [{name: zipkin, zipkin: {service: ${ZIPKIN}, port: 9411}}]`,
          objects: [
            ...collectorObjects('zipkin', 9411, collector.port, 'http'),
            telemetry({ providers: [{ name: 'zipkin' }], randomSamplingPercentage: 0, ...more }),
          ],
        }),
      );
    // Envoy takes the 4 for "not sampled".
    const headers = { 'x-request-id': '4c1c1a3e-89d3-4b8c-a1d0-6a5a2f3b1c01' };
    const [believing, apart] = await Promise.all([start({}), start({ useRequestIdForTraceSampling: false })]);
    await believing.request('/believed', headers);
    await apart.request('/decided-elsewhere', { ...headers, 'x-b3-sampled': '0' });
    await apart.request('/apart', headers);
    await until('spans of both sidecars', () => collector.spans.length === 2);
    expect(collector.spans.map(({ tags }) => new URL(tags['http.url']!).pathname)).toEqual(['/apart', '/apart']);
  });
});

const ALWAYS = (name: string) => ({ providers: [{ name }], randomSamplingPercentage: 100 });

function telemetry(tracing: object, accessLogging: readonly object[] = []): KubeObject {
  return {
    apiVersion: 'telemetry.istio.io/v1',
    kind: 'Telemetry',
    metadata: { namespace: 'istio-system', name: 'mesh' },
    spec: { tracing: [tracing], accessLogging },
  };
}

function byTls(host: string): KubeObject {
  return {
    apiVersion: 'networking.istio.io/v1',
    kind: 'DestinationRule',
    metadata: { namespace: 'observability', name: 'collector' },
    spec: { host, trafficPolicy: { tls: { mode: 'SIMPLE', caCertificates: roots } } },
  };
}

async function statistic(pair: SidecarPair, name: string): Promise<string | undefined> {
  const lines = (await pair.client.admin('/stats')).split('\n');
  return lines.find((line) => line.startsWith(`${name}: `))?.split(': ')[1];
}

function keysOf(host: string, authority = ours) {
  return authority.issue(host, { dnsNames: [host], usages: ['serverAuth'] });
}
