// SPDX-License-Identifier: Apache-2.0
// node bench/gateway-services.ts [--exported 10]: what the ingress gateway's Envoy takes for the services that other clusters
// may ask it for: all of its cluster's, or those that are exported. Two versions and two pods each.
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { KubeObject } from '../src/kube/types.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import type { DesiredState } from '../src/xds/types.ts';
import { meshProxy } from '../test/fixture/mesh-proxy.ts';
import { newStore, upsert } from '../test/fixture/mesh-store.ts';
import { staticBootstrap } from '../test/scenarios/static-bootstrap.ts';
import { median } from './report.ts';

const { values: flags } = parseArgs({ options: { exported: { type: 'string', default: '10' } } });
const EXPORTED = Number(flags.exported);
const COUNTS = [0, 10, 100, 300, 1_000];
const RUNS = 3;
/** Envoy gives free memory back every ten seconds. */
const SETTLE_MS = 12_000;
const VERSIONS = ['v1', 'v2'];

function objectsOf(count: number, gatewayServices: 'ALL' | 'EXPORTED'): KubeObject[] {
  const mesh = {
    metadata: { namespace: 'istio-system', name: 'istio' },
    data: { mesh: `gatewayServices: ${gatewayServices}` },
  };
  const selector = { istio: 'ingressgateway' };
  const ports = [{ name: 'tls', port: 15_443 }];
  const gateway = {
    metadata: { namespace: 'istio-system', name: 'ingress' },
    spec: { clusterIP: '10.96.0.9', selector, ports },
  };
  return [
    { apiVersion: 'v1', kind: 'ConfigMap', ...mesh },
    { apiVersion: 'v1', kind: 'Service', ...gateway },
    ...Array.from({ length: count }, (_, i) => serviceOf(i)).flat(),
  ];
}

function serviceOf(i: number): KubeObject[] {
  const metadata = { namespace: 'default', name: `svc-${i}` };
  const ports = [{ name: 'http', port: 9080 }];
  const pods = VERSIONS.map((version, v) => ({
    name: `svc-${i}-${version}`,
    ip: `10.${v + 1}.${i >> 8}.${i & 255}`,
    version,
  }));
  const subsets = VERSIONS.map((version) => ({ name: version, labels: { version }, ready: 1 }));
  const digest = { cluster: 'cluster1', exportedAt: '2026-01-01T00:00:00Z', type: 'ClusterSetIP', ready: 2, subsets };
  const told: KubeObject = {
    apiVersion: 'isthmus.io/v1alpha1',
    kind: 'ExportedService',
    metadata,
    spec: { ...digest, ports: [{ name: 'http', port: 9080 }] },
  };
  const rule = { host: `svc-${i}`, subsets: VERSIONS.map((version) => ({ name: version, labels: { version } })) };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { clusterIP: `10.97.${i >> 8}.${i & 255}`, selector: { app: `svc-${i}` }, ports },
    },
    { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata, spec: rule },
    ...pods.map(({ name, ip, version }): KubeObject => {
      const labels = { app: `svc-${i}`, version, 'security.istio.io/tlsMode': 'istio' };
      return {
        apiVersion: 'v1',
        kind: 'Pod',
        metadata: { namespace: 'default', name, labels },
        spec: {},
        status: { phase: 'Running', podIP: ip },
      };
    }),
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { namespace: 'default', name: `svc-${i}-1`, labels: { 'kubernetes.io/service-name': `svc-${i}` } },
      ports: [{ name: 'http', port: 9080 }],
      endpoints: pods.map(({ name, ip }) => ({
        addresses: [ip],
        conditions: { ready: true },
        targetRef: { kind: 'Pod', name },
      })),
    },
    ...(i < EXPORTED ? [told] : []),
  ];
}

function compileGateway(objects: readonly KubeObject[]): DesiredState {
  const labels = { app: 'istio-ingressgateway', istio: 'ingressgateway' };
  const proxy = meshProxy({ id: 'gateway', kind: 'gateway', namespace: 'istio-system', podName: 'gateway', labels });
  const { snapshot } = newStore().apply(objects.map(upsert));
  return compileProxy(snapshot, proxy, new CompileCache()).desired;
}

async function memoryMiB(desired: DesiredState): Promise<number> {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-gateway-'));
  writeFileSync(join(dir, 'bootstrap.pb'), staticBootstrap(desired));
  const log = openSync(join(dir, 'log'), 'w');
  const child = spawn(findEnvoy()!, ['-c', join(dir, 'bootstrap.pb'), '--disable-hot-restart', '--concurrency', '1'], {
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  try {
    while (!readFileSync(join(dir, 'log'), 'utf8').includes('all dependencies initialized')) {
      if (child.exitCode !== null) throw new Error(readFileSync(join(dir, 'log'), 'utf8').slice(-2_000));
      await sleep(100);
    }
    await sleep(SETTLE_MS);
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  } finally {
    child.kill('SIGKILL');
    rmSync(dir, { recursive: true, force: true });
  }
}

process.stdout.write(
  `| services | SNI clusters, ALL | memory | SNI clusters, ${EXPORTED} EXPORTED | memory |\n|---|---|---|---|---|\n`,
);
for (const count of COUNTS) {
  const cells: string[] = [String(count)];
  for (const which of ['ALL', 'EXPORTED'] as const) {
    const desired = compileGateway(objectsOf(count, which));
    const clusters = [...(desired.get('type.googleapis.com/envoy.config.cluster.v3.Cluster')?.keys() ?? [])];
    const figures: number[] = [];
    for (let run = 0; run < RUNS; run++) figures.push(await memoryMiB(desired));
    const sni = clusters.filter((name) => name.startsWith('outbound_.')).length;
    cells.push(sni.toLocaleString('en'), `${median(figures).toFixed(0)} MiB`);
  }
  process.stdout.write(`| ${cells.join(' | ')} |\n`);
}
