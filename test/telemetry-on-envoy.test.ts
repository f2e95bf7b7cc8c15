// SPDX-License-Identifier: Apache-2.0
// What real sidecars tell of the requests between them: metrics, access logs, traces.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { until } from './fixture/waiting.ts';
import type { RunningEnvoy } from './scenarios/running-envoy.ts';
import { parsePrometheus, type Sample } from './telemetry/prometheus-text.ts';
import { SidecarPair } from './telemetry/sidecar-pair.ts';

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
