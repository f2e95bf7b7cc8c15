// SPDX-License-Identifier: Apache-2.0
// Split horizon counted on a real Envoy: who gets how many connections when some endpoints are gateways to others.

import { once } from 'node:events';
import net, { type AddressInfo, type Server, type Socket } from 'node:net';
import { create, fromBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { afterEach, describe, expect, test } from 'vitest';
import { type Bootstrap, BootstrapSchema } from '#gen/envoy/config/bootstrap/v3/bootstrap_pb.ts';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { TcpProxySchema } from '#gen/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy_pb.ts';
import { clusterName } from '../src/api/names.ts';
import { TYPE_URL } from '../src/envoy/names.ts';
import { MeshStore } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';
import { findEnvoy } from '../src/runtime/toolchain.ts';
import type { DesiredState } from '../src/xds/types.ts';
import { meshProxy } from './fixture/mesh-proxy.ts';
import { type NetworkMesh, OWN_CLUSTER, objectsOf, SERVICE_HOST } from './scenarios/arbitrary-networks.ts';
import { RunningEnvoy } from './scenarios/running-envoy.ts';

const envoy = findEnvoy();
const CLUSTER = `outbound|80||${SERVICE_HOST}`;
const SIDECAR = meshProxy({ cluster: clusterName(OWN_CLUSTER), namespace: 'shop', ip: '10.8.0.1' });

const pod = (cluster: string, ip: string, zone = ''): NetworkMesh['pods'][number] => {
  return { cluster, ip, label: '', meshed: true, state: 'ready', zone, version: 'v1' };
};
const gateway = (address: string, locality = '') => ({ address, port: 443, locality });

/** One pod here and three on net1; two on net2, which has two gateways, each in a locality of its own. */
const MESH: NetworkMesh = {
  networks: {
    net1: { gateways: [gateway('198.51.100.1')] },
    net2: { gateways: [gateway('198.51.100.2', 'eu'), gateway('198.51.100.3', 'us')] },
    net3: { gateways: [] },
  },
  registries: { two: 'net1', three: 'net2' },
  blocks: {},
  leaveOut: false,
  pods: [
    pod(OWN_CLUSTER, '10.9.0.1'),
    ...['10.9.1.1', '10.9.1.2', '10.9.1.3'].map((ip) => pod('two', ip)),
    pod('three', '10.9.2.1', 'eu/a'),
    pod('three', '10.9.2.2', 'eu/a'),
    pod('three', '10.9.2.3', 'us/c'),
  ],
  entry: [],
  byName: false,
};

const stops: (() => void | Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

function compile(mesh: NetworkMesh): DesiredState {
  const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
  const store = new MeshStore({ ...settings, configCluster: OWN_CLUSTER });
  const { snapshot } = store.apply(objectsOf(mesh).map(({ cluster, object }) => ({ kind: 'upsert', cluster, object })));
  return compileProxy(snapshot, SIDECAR, new CompileCache()).desired;
}

/** A server on loopback that says, to whoever connects, for which address it stands. */
async function standIn(address: string): Promise<number> {
  const open = new Set<Socket>();
  const server: Server = net.createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => {});
    socket.write(`${address}\n`);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  stops.push(() => {
    for (const socket of open) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** An Envoy with the service's own cluster and endpoints, each at its stand-in; TLS is left out. */
async function startEnvoy(desired: DesiredState): Promise<number> {
  const cluster = fromBinary(ClusterSchema, desired.get(TYPE_URL.cluster)!.get(CLUSTER)!.value);
  const assignment = fromBinary(ClusterLoadAssignmentSchema, desired.get(TYPE_URL.endpoints)!.get(CLUSTER)!.value);
  for (const { hostIdentifier } of assignment.endpoints.flatMap((l) => l.lbEndpoints)) {
    const socket = hostIdentifier.case === 'endpoint' ? hostIdentifier.value.address?.address : undefined;
    if (socket?.case !== 'socketAddress') throw new Error('an endpoint without an address');
    const value = await standIn(socket.value.address);
    socket.value.address = '127.0.0.1';
    socket.value.portSpecifier = { case: 'portValue', value };
  }
  cluster.edsClusterConfig = undefined;
  cluster.clusterDiscoveryType = { case: 'type', value: Cluster_DiscoveryType.STATIC };
  cluster.loadAssignment = assignment;
  cluster.transportSocketMatches = [];
  const running = await RunningEnvoy.start(envoy!, bootstrapOf(cluster));
  stops.push(() => running.stop());
  return (await running.listeners()).get('in')!;
}

function bootstrapOf(cluster: NonNullable<Bootstrap['staticResources']>['clusters'][number]): Bootstrap {
  const value = anyPack(
    TcpProxySchema,
    create(TcpProxySchema, { statPrefix: 'in', clusterSpecifier: { case: 'cluster', value: CLUSTER } }),
  );
  const filter = { name: 'envoy.filters.network.tcp_proxy', configType: { case: 'typedConfig' as const, value } };
  const socket = { address: '127.0.0.1', portSpecifier: { case: 'portValue' as const, value: 0 } };
  const address = { address: { case: 'socketAddress' as const, value: socket } };
  return create(BootstrapSchema, {
    node: { id: 'p', cluster: 'p' },
    staticResources: {
      clusters: [cluster],
      listeners: [{ name: 'in', address, filterChains: [{ filters: [filter] }] }],
    },
  });
}

/** Who was reached, by how many connections; with `hold` all stay open until the last one is made. */
async function count(port: number, connections: number, hold: boolean): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  const held: Socket[] = [];
  for (let i = 0; i < connections; i++) {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('error', () => {});
    const [answer] = (await once(socket, 'data')) as [Buffer];
    const address = answer.toString().trim();
    counts[address] = (counts[address] ?? 0) + 1;
    if (hold) held.push(socket);
    else socket.destroy();
  }
  for (const socket of held) socket.destroy();
  return counts;
}

describe.skipIf(envoy === undefined)('shares on a real Envoy', () => {
  test.each([
    ['one after the other', false],
    ['all at once', true],
  ])('a pod has the same share wherever it is, %s', async (_, hold) => {
    const port = await startEnvoy(compile(MESH));
    const counts = await count(port, 140, hold);
    const wanted = { '10.9.0.1': 20, '198.51.100.1': 60, '198.51.100.2': 40, '198.51.100.3': 20 };
    expect(Object.keys(counts).sort()).toEqual(Object.keys(wanted));
    for (const [address, number] of Object.entries(wanted)) {
      // Envoy begins anywhere in its round, so that the ends of 20 rounds may lie on either side.
      expect(Math.abs(counts[address]! - number), `${address}: ${counts[address]}`).toBeLessThanOrEqual(3);
    }
  });
});

test('there is an Envoy to ask (ENVOY_BIN, .tools/envoy or PATH)', (context) => {
  if (envoy === undefined) context.skip('no Envoy found: shares were not counted');
});
