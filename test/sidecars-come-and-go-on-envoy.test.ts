// SPDX-License-Identifier: Apache-2.0
// An endpoint that gets or loses its sidecar while it has the same address and locality, on a real Envoy: whether it is
// spoken to by TLS must be as it is told last.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net, { type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, fromBinary, fromJson, toJson } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { envoyRegistry } from '#gen/registry.ts';
import { buildLoadAssignment } from '../src/envoy/endpoints.ts';
import { TYPE_URL } from '../src/envoy/names.ts';
import type { EndpointIntent } from '../src/intent/destination-types.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { RunningEnvoy } from './scenarios/running-envoy.ts';

const envoyPath = findEnvoy();
const NAME = 'outbound|80||shop.default.svc.cluster.local';
const TLS_HANDSHAKE = 0x16;
const TYPES = 'type.googleapis.com/envoy.extensions';

/** What a client's cluster for a service chooses its sockets by. */
function socketMatches() {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: 'c1' });
  const spec = { clusterIP: '10.96.0.1', selector: { app: 'shop' }, ports: [{ name: 'http', port: 80 }] };
  const object = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'shop', namespace: 'default' }, spec };
  store.apply([{ kind: 'upsert', cluster: 'c1', object }]);
  const { desired } = compileProxy(store.snapshot, meshProxy({ id: 'client' }), new CompileCache());
  const { transportSocketMatches, transportSocket } = fromBinary(
    ClusterSchema,
    desired.get(TYPE_URL.cluster)!.get(NAME)!.value,
  );
  expect(transportSocket).toBeUndefined();
  // Any TLS will do here, and none needs certificates.
  return transportSocketMatches.map(({ name, match }) => ({
    name,
    match,
    transport_socket: {
      name: 'envoy.transport_sockets.tls',
      typed_config: { '@type': `${TYPES}.transport_sockets.tls.v3.UpstreamTlsContext` },
    },
  }));
}

function bootstrap(endpointsFile: string) {
  const manager = {
    '@type': `${TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: 'x',
    http_filters: [{ name: 'router', typed_config: { '@type': `${TYPES}.filters.http.router.v3.Router` } }],
    route_config: {
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: NAME } }] }],
    },
  };
  const json = {
    node: { id: 'client', cluster: 'client' },
    static_resources: {
      listeners: [
        {
          name: 'in',
          address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
          filter_chains: [{ filters: [{ name: 'manager', typed_config: manager }] }],
        },
      ],
      clusters: [
        {
          name: NAME,
          alt_stat_name: 'shop',
          type: 'EDS',
          eds_cluster_config: { eds_config: { path_config_source: { path: endpointsFile } } },
          transport_socket_matches: socketMatches(),
        },
      ],
    },
  };
  return fromJson(BootstrapSchema, json as Parameters<typeof fromJson>[1], { registry: envoyRegistry() });
}

describe.skipIf(envoyPath === undefined)('sidecars that come and go', () => {
  const dir = mkdtempSync(join(tmpdir(), 'isthmus-sidecars-'));
  const file = join(dir, 'endpoints.json');
  const heard = new Map<string, Set<string>>();
  const servers = ['a', 'b'].map((pod) =>
    net.createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (first: Buffer) => {
        const isTls = first[0] === TLS_HANDSHAKE;
        heard.set(pod, (heard.get(pod) ?? new Set()).add(isTls ? 'TLS' : 'plaintext'));
        socket.end(isTls ? '' : 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      });
    }),
  );
  let envoy: RunningEnvoy;
  let port: number;
  let version = 0;

  /** pod -> whether it has a sidecar */
  function tell(pods: Readonly<Record<string, boolean>>, locality: string): void {
    const endpoints = Object.entries(pods).map(([pod, meshed]): EndpointIntent => {
      const { port } = servers[pod === 'a' ? 0 : 1]!.address() as AddressInfo;
      return { address: '127.0.0.1', port, weight: 1, locality, meshed };
    });
    const told = toJson(
      ClusterLoadAssignmentSchema,
      create(ClusterLoadAssignmentSchema, buildLoadAssignment(NAME, endpoints)),
      {
        registry: envoyRegistry(),
      },
    ) as object;
    const resources = [{ '@type': TYPE_URL.endpoints, ...told }];
    writeFileSync(`${file}.new`, JSON.stringify({ version_info: String(++version), resources }));
    renameSync(`${file}.new`, file);
  }

  async function taken(): Promise<void> {
    const successes = async () => /update_success: (\d+)/.exec(await envoy.admin('/stats?filter=shop.update_success'));
    while (Number((await successes())?.[1] ?? 0) < version) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  function ask(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    http.get({ host: '127.0.0.1', port, agent: false }, (response) => response.resume().on('close', resolve));
    return promise;
  }

  beforeAll(async () => {
    for (const server of servers) {
      server.listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
    }
    tell({ a: true, b: true }, '');
    envoy = await RunningEnvoy.start(envoyPath!, bootstrap(file));
    port = (await envoy.listeners()).get('in')!;
  });
  afterAll(async () => {
    await envoy?.stop();
    for (const server of servers) server.close();
    rmSync(dir, { recursive: true, force: true });
  });

  test.each(['', 'eu/west'])('each is spoken to as it is told last, in locality %j', async (locality) => {
    const steps: Readonly<Record<string, boolean>>[] = [
      { a: true, b: true },
      { a: true, b: false },
      { a: true, b: true },
      { a: false, b: true },
      { a: false, b: false },
      { a: true, b: true },
      { b: false },
      { b: true },
    ];
    for (const [i, pods] of steps.entries()) {
      tell(pods, locality);
      await taken();
      heard.clear();
      // In turn: two requests for each.
      for (let n = 0; n < 4; n++) await ask();
      const expected = Object.entries(pods).map(([pod, meshed]) => [pod, [meshed ? 'TLS' : 'plaintext']]);
      const seen = [...heard].sort().map(([pod, kinds]) => [pod, [...kinds]]);
      expect(seen, `step ${i}: ${JSON.stringify(pods)}`).toEqual(expected);
    }
  });
});
