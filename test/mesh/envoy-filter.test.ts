// SPDX-License-Identifier: Apache-2.0
// EnvoyFilters on a real Envoy that is connected: a patch in force, one that Envoy refuses, one that finds nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Diagnostic } from '../../src/api/diagnostics.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { createCompile } from '../../src/runtime/compile.ts';
import { IdlePatches } from '../../src/runtime/findings/idle-patches.ts';
import { MeshEngine } from '../../src/runtime/mesh-engine.ts';
import type { AdsBackendOptions } from '../../src/runtime/streams/ads-backend.ts';
import type { Refusal } from '../../src/runtime/streams/refusals.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import type { XdsServer } from '../../src/xds/server.ts';
import { type EnvoyProcess, startEnvoy } from '../xds/envoy-process.ts';
import { CLUSTER, startLoopbackAds } from './loopback-ads.ts';
import { plaintextBootstrap } from './plaintext-bootstrap.ts';

const envoyPath = findEnvoy();

const entry: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: 'one', namespace: 'default' },
  spec: {
    hosts: ['one.example.com'],
    ports: [{ name: 'http', number: 8081, protocol: 'HTTP' }],
    resolution: 'STATIC',
    location: 'MESH_EXTERNAL',
    endpoints: [{ address: '192.0.2.1' }],
  },
};

const filter = (name: string, patch: object): KubeObject => ({
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name, namespace: 'default' },
  spec: { configPatches: [patch] },
});

const header = (value: string) =>
  filter('good', {
    applyTo: 'HTTP_ROUTE',
    match: { context: 'SIDECAR_OUTBOUND', routeConfiguration: { name: '8081' } },
    patch: { operation: 'MERGE', value: { response_headers_to_add: [{ header: { key: 'x-patched', value } }] } },
  });

/** Its type is known, and no network filter. */
const badListener = filter('bad-listener', {
  applyTo: 'NETWORK_FILTER',
  match: { context: 'SIDECAR_OUTBOUND', listener: { portNumber: 8081 } },
  patch: {
    operation: 'INSERT_FIRST',
    value: {
      name: 'wrong.place',
      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.buffer.v3.Buffer' },
    },
  },
});

const badClusters = filter('bad-clusters', {
  applyTo: 'CLUSTER',
  match: { context: 'SIDECAR_OUTBOUND' },
  patch: { operation: 'MERGE', value: { max_requests_per_connection: 3, lb_policy: 'CLUSTER_PROVIDED' } },
});

const idle = filter('idle', {
  applyTo: 'CLUSTER',
  match: { cluster: { service: 'nobody.example.com' } },
  patch: { operation: 'REMOVE' },
});

describe.skipIf(envoyPath === undefined)('EnvoyFilters on a real Envoy', () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-envoy-filter-'));
  const ending = new AbortController();
  const options = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...options, configCluster: CLUSTER });
  const engine = new MeshEngine({ store, compile: createCompile('ads'), clusters: [] });
  const source = engine.listener('test');
  const apply = (object: KubeObject): void => source.events([{ kind: 'upsert', cluster: CLUSTER, object }]);
  const remove = (object: KubeObject): void => source.events([{ kind: 'delete', cluster: CLUSTER, object }]);
  const refusals: Refusal[] = [];
  let idlePatches: readonly Diagnostic[] = [];
  const patches = new IdlePatches((diagnostics) => {
    idlePatches = diagnostics;
  });
  let xds: XdsServer;
  let envoy: EnvoyProcess;
  const dump = async (what: string): Promise<string> => (await envoy.admin(`/config_dump?resource=${what}`)).body;
  const routes = () => dump('dynamic_route_configs');

  beforeAll(async () => {
    apply(entry);
    apply(header('first'));
    const onRefusal = (refusal: Refusal) => refusals.push(refusal);
    const onPatches: AdsBackendOptions['onPatches'] = (stream, found) => patches.note(stream, found);
    xds = await startLoopbackAds({ engine, onRefusal, onPatches }, ending.signal);
    envoy = startEnvoy(envoyPath!, dir, plaintextBootstrap(xds.port));
  });

  afterAll(async () => {
    await envoy?.stop();
    ending.abort();
    patches.close();
    await xds?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('a patch is in force, and follows its changes', async () => {
    await expect.poll(routes, { timeout: 30_000 }).toContain('x-patched');
    apply(header('second'));
    await expect.poll(routes, { timeout: 30_000 }).toContain('second');
  });

  test('one that Envoy refuses in a listener is named and left out, and the others go on', async () => {
    apply(badListener);
    await expect.poll(() => refusals.length, { timeout: 30_000 }).toBe(1);
    expect(refusals[0]!.blamed).toMatchObject([{ kind: 'EnvoyFilter', name: 'bad-listener' }]);
    apply(header('third'));
    await expect.poll(routes, { timeout: 30_000 }).toContain('third');
    expect(engine.diagnostics.filter((d) => d.code === 'ISM0201').map((d) => d.object.name)).toEqual(['bad-listener']);
    remove(badListener);
    expect(engine.diagnostics.filter((d) => d.code === 'ISM0201')).toEqual([]);
  });

  test('one that spoils every cluster is left out as well: who starts now has clusters', async () => {
    const before = refusals.length;
    apply(badClusters);
    await expect.poll(() => refusals.length, { timeout: 30_000 }).toBeGreaterThan(before);
    expect(refusals[before]!.blamed).toMatchObject([{ kind: 'EnvoyFilter', name: 'bad-clusters' }]);
    expect(engine.diagnostics.filter((d) => d.code === 'ISM0201').map((d) => d.object.name)).toEqual(['bad-clusters']);
    remove(badClusters);
  });

  test('one that finds nothing in any connected proxy is told, until it does or is gone', async () => {
    apply(idle);
    await expect
      .poll(() => idlePatches, { timeout: 30_000 })
      .toMatchObject([{ code: 'ISM0203', object: { name: 'idle' }, field: 'spec.configPatches[0]' }]);
    remove(idle);
    await expect.poll(() => idlePatches, { timeout: 30_000 }).toEqual([]);
  });
});
