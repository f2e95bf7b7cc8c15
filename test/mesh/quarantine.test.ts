// SPDX-License-Identifier: Apache-2.0
// One bad object in a table that many share, on a real Envoy. What our validation lets through Envoy takes, so the
// badness is added behind it: the routes of a mesh that has the VirtualService `bad` name one host twice.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { TYPE_URL } from '../../src/envoy/names.ts';
import type { KubeObject } from '../../src/kube/types.ts';
import { MeshStore } from '../../src/model/store.ts';
import { createCompile } from '../../src/runtime/compile.ts';
import { type Compile, MeshEngine } from '../../src/runtime/mesh-engine.ts';
import type { Refusal } from '../../src/runtime/streams/refusals.ts';
import { findEnvoy } from '../../src/runtime/toolchain.ts';
import type { XdsServer } from '../../src/xds/server.ts';
import type { XdsResource } from '../../src/xds/types.ts';
import { type EnvoyProcess, startEnvoy } from '../xds/envoy-process.ts';
import { CLUSTER, startLoopbackAds } from './loopback-ads.ts';
import { plaintextBootstrap } from './plaintext-bootstrap.ts';

const envoyPath = findEnvoy();
const TABLE = '8081';

function withTwin(table: XdsResource): XdsResource {
  const routes = fromBinary(RouteConfigurationSchema, table.value);
  routes.virtualHosts.push(...routes.virtualHosts.slice(0, 1));
  return { ...table, version: `${table.version}-twin`, value: toBinary(RouteConfigurationSchema, routes) };
}

function spoiled(compile: Compile): Compile {
  return (snapshot, proxy) => {
    const compiled = compile(snapshot, proxy);
    const tables = compiled.desired.get(TYPE_URL.routes);
    const table = tables?.get(TABLE);
    if (!tables || !table || !snapshot.index.virtualServices.some((vs) => vs.ref.name === 'bad')) return compiled;
    const desired = new Map([...compiled.desired, [TYPE_URL.routes, new Map([...tables, [TABLE, withTwin(table)]])]]);
    return { ...compiled, desired, origins: (typeUrl, name) => compiled.origins(typeUrl, name) };
  };
}

const entry = (name: string): KubeObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name, namespace: 'default' },
  spec: {
    hosts: [`${name}.example.com`],
    ports: [{ name: 'http', number: 8081, protocol: 'HTTP' }],
    resolution: 'STATIC',
    location: 'MESH_EXTERNAL',
    endpoints: [{ address: '192.0.2.1' }],
  },
});

const rule = (name: string, host: string, rewrite: string): KubeObject => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'default' },
  spec: {
    hosts: [`${host}.example.com`],
    http: [{ rewrite: { uri: rewrite }, route: [{ destination: { host: `${host}.example.com` } }] }],
  },
});

describe.skipIf(envoyPath === undefined)('a table with one bad object in it, on a real Envoy', () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-quarantine-'));
  const ending = new AbortController();
  const store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: CLUSTER,
  });
  const engine = new MeshEngine({ store, compile: spoiled(createCompile('ads')), clusters: [] });
  const source = engine.listener('test');
  const apply = (...objects: KubeObject[]): void =>
    source.events(objects.map((object) => ({ kind: 'upsert', cluster: CLUSTER, object })));
  const refusals: Refusal[] = [];
  let xds: XdsServer;
  let envoy: EnvoyProcess;
  const routes = async (): Promise<string> => (await envoy.admin('/config_dump?resource=dynamic_route_configs')).body;

  beforeAll(async () => {
    apply(entry('one'), entry('two'), rule('good', 'one', '/first'));
    xds = await startLoopbackAds({ engine, onRefusal: (refusal) => refusals.push(refusal) }, ending.signal);
    envoy = startEnvoy(envoyPath!, dir, plaintextBootstrap(xds.port));
  });

  afterAll(async () => {
    await envoy?.stop();
    ending.abort();
    await xds?.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test('it alone is left out and named; the others’ changes come into force', async () => {
    await expect.poll(routes, { timeout: 30_000 }).toContain('/first');
    apply(rule('bad', 'two', '/bad'));
    await expect.poll(() => refusals.length, { timeout: 30_000 }).toBe(1);
    expect(refusals[0]).toMatchObject({ resource: TABLE, blamed: [{ kind: 'VirtualService', name: 'bad' }] });
    apply(rule('good', 'one', '/second'));
    await expect.poll(routes, { timeout: 30_000 }).toContain('/second');
    expect(await routes()).not.toContain('/bad');
    expect(refusals).toHaveLength(1);
    expect(engine.diagnostics.filter((d) => d.code === 'ISM0201').map((d) => d.object.name)).toEqual(['bad']);
  });
});
