// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { generateKeyPair, issueCertificate } from '../pki/x509.ts';
import { findEnvoy } from '../runtime/toolchain.ts';
import { type BootstrapOptions, buildBootstrap } from './bootstrap.ts';

const envoy = findEnvoy();
const dir = mkdtempSync(join(tmpdir(), 'isthmus-bootstrap-'));
const files = { rootCertPath: join(dir, 'root.pem'), tokenPath: join(dir, 'token') };
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function options(change: Partial<BootstrapOptions> = {}): BootstrapOptions {
  return {
    kind: 'sidecar',
    podName: 'reviews-v1-0',
    podIp: '10.1.0.5',
    namespace: 'default',
    serviceAccount: 'bookinfo-reviews',
    clusterId: 'cluster1',
    network: '',
    dnsDomain: 'cluster.local',
    ads: { address: 'istio-pilot.istio-system.svc:15012', ...files },
    sds: { address: 'istio-citadel.istio-system.svc:15012', ...files },
    adminPipe: join(dir, 'admin.sock'),
    excludeOutboundBy: 'uid',
    ...change,
  };
}

test('the node says who the proxy is', () => {
  expect(buildBootstrap(options())['node']).toEqual({
    id: 'sidecar~10.1.0.5~reviews-v1-0.default~default.svc.cluster.local',
    cluster: 'bookinfo-reviews.default',
    metadata: {
      NAME: 'reviews-v1-0',
      NAMESPACE: 'default',
      SERVICE_ACCOUNT: 'bookinfo-reviews',
      CLUSTER_ID: 'cluster1',
    },
  });
  const gateway = buildBootstrap(options({ kind: 'gateway', network: 'n2' }))['node'] as {
    id: string;
    metadata: object;
  };
  expect(gateway.id).toMatch(/^router~/);
  expect(gateway.metadata).toMatchObject({ NETWORK: 'n2' });
});

test('a proxy that fetches what it needs is kept small, and no other', () => {
  const limit = (metadata: Record<string, string>) => {
    const allocator = buildBootstrap(options({ metadata }))['memory_allocator_manager'] as Record<string, string>;
    return Number(allocator['soft_memory_limit_bytes'] ?? Infinity);
  };
  expect(limit({})).toBe(Infinity);
  expect(limit({ CONFIG_DELIVERY: 'FULL' })).toBe(Infinity);
  expect(limit({ CONFIG_DELIVERY: 'CLUSTERS_ON_DEMAND' })).toBeLessThan(32 << 20);
  expect(limit({ CONFIG_DELIVERY: 'ALL_ON_DEMAND' })).toBeLessThan(32 << 20);
});

test('no IPv6 address is named where pods have none: a kernel without IPv6 has Envoy refuse all of it', () => {
  const probe = { path: '/app-health/app/livez', appPort: 8080, check: { kind: 'tcp', timeoutSeconds: 1 } } as const;
  const text = (change: Partial<BootstrapOptions>) => JSON.stringify(buildBootstrap(options(change)));
  expect(text({ probes: [probe] })).not.toContain('::6');
  expect(text({ probes: [probe], hasIpv6: true })).toContain('::6');
});

test('Envoy waits for its first configuration without a limit', () => {
  const { cds_config, lds_config } = buildBootstrap(options())['dynamic_resources'] as Record<
    string,
    Record<string, unknown>
  >;
  expect([cds_config?.['initial_fetch_timeout'], lds_config?.['initial_fetch_timeout']]).toEqual(['0s', '0s']);
});

test('ADS is asked for with the workload’s own certificate, which comes from its own cluster’s CA', () => {
  const { static_resources } = buildBootstrap(options()) as { static_resources: { clusters: { name: string }[] } };
  const text = JSON.stringify(static_resources.clusters.find(({ name }) => name === 'control-plane'));
  expect(text).toContain('"tls_certificate_sds_secret_configs":[{"name":"default"');
  expect(text).toContain('"target_uri":"istio-citadel.istio-system.svc:15012"');
  expect(text).toContain('"address":"istio-pilot.istio-system.svc","port_value":15012');
  expect(text).toContain('"sni":"istio-pilot.istio-system.svc"');
});

test.skipIf(envoy === undefined).each([['uid'], ['mark']] as const)(
  'Envoy takes the bootstrap (told by %s)',
  (excludeOutboundBy) => {
    const keys = generateKeyPair();
    const days = (n: number) => new Date(Date.now() + n * 86_400_000);
    const root = { subject: { commonName: 'root' }, publicKey: keys.publicKey, selfKey: keys.privateKey, isCa: true };
    writeFileSync(join(dir, 'root.pem'), issueCertificate({ ...root, notBefore: days(-1), notAfter: days(1) }));
    writeFileSync(join(dir, 'token'), 'token');
    for (const kind of ['sidecar', 'gateway'] as const) {
      const checks = [
        { kind: 'http', tls: true, appPath: '/' },
        { kind: 'http', tls: false, appPath: '/' },
        { kind: 'tcp', timeoutSeconds: 1 },
        { kind: 'grpc', service: 'a.B', timeoutSeconds: 2 },
      ] as const;
      const probes = checks.map((check, i) => ({ path: `/app-health/a/${i}`, appPort: 9080, check }));
      const config = JSON.stringify(
        buildBootstrap(options({ kind, excludeOutboundBy, probes, otlpMetrics: 'otel:4317' })),
      );
      const args = ['--mode', 'validate', '--disable-hot-restart', '--log-level', 'error', '--config-yaml', config];
      const { status, stdout, stderr } = spawnSync(envoy!, args, { encoding: 'utf8' });
      expect(`${status} ${stderr}`, stdout).toBe('0 ');
    }
  },
);
