// SPDX-License-Identifier: Apache-2.0
// Patches of what resources say in fewer words than a patch's author knows them by.
import { fromBinary } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { type Cluster, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type { RetryPolicy } from '#gen/envoy/config/route/v3/route_components_pb.ts';
import { RouteConfigurationSchema } from '#gen/envoy/config/route/v3/route_pb.ts';
import { UpstreamTlsContextSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts';
import { meshProxy } from '#test/fixture/mesh-proxy.ts';
import { clusterName } from '../../api/names.ts';
import type { KubeObject } from '../../kube/types.ts';
import { MeshStore } from '../../model/store.ts';
import { CompileCache, compileProxy } from '../../pipeline.ts';
import { TYPE_URL } from '../names.ts';

const HOST = 'shop.default.svc.cluster.local';

const SHOP: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'shop', namespace: 'default' },
  spec: { clusterIP: '10.96.0.1', selector: { app: 'shop' }, ports: [{ name: 'http', port: 80 }] },
};

const to = [{ destination: { host: 'shop' } }];
const RULE: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'shop', namespace: 'default' },
  spec: {
    hosts: ['shop'],
    http: [
      { name: 'a', match: [{ uri: { prefix: '/a' } }], route: to },
      { name: 'once', match: [{ uri: { prefix: '/once' } }], route: to, retries: { attempts: 0 } },
      { name: 'five', match: [{ uri: { prefix: '/five' } }], route: to, retries: { attempts: 5 } },
      { name: 'rest', route: to },
    ],
  },
};

const envoyFilter = (patch: object): KubeObject => ({
  apiVersion: 'networking.istio.io/v1alpha3',
  kind: 'EnvoyFilter',
  metadata: { name: 'patch', namespace: 'default' },
  spec: { configPatches: [patch] },
});

function compiled(...objects: KubeObject[]) {
  const store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'c1',
  });
  store.apply([SHOP, RULE, ...objects].map((object) => ({ kind: 'upsert', cluster: 'c1', object })));
  return compileProxy(store.snapshot, meshProxy({ id: 'p', cluster: clusterName('c1') }), new CompileCache()).desired;
}

/** Of each route, what Envoy will go by: its own policy, or else its virtual host's. */
function retriesOf(...objects: KubeObject[]) {
  const table = fromBinary(
    RouteConfigurationSchema,
    compiled(...objects)
      .get(TYPE_URL.routes)!
      .get('80')!.value,
  );
  const host = table.virtualHosts.find(({ name }) => name === `${HOST}:80`)!;
  const said = (policy: RetryPolicy | undefined) => (policy?.retryOn ? (policy.numRetries ?? 1) : 0);
  const own = host.routes.map(({ name, action }) => {
    const policy = action.case === 'route' ? action.value.retryPolicy : undefined;
    return [name, said(policy ?? host.retryPolicy), policy?.retryOn.includes('connect-failure')] as const;
  });
  return { host, own };
}

test('what most routes of a host retry is said once, and the others say for themselves', () => {
  const { host, own } = retriesOf();
  expect(host.retryPolicy).toMatchObject({ numRetries: 2 });
  expect(own.map(([name, attempts]) => [name, attempts])).toEqual([
    ['a', 2],
    ['once', 0],
    ['five', 5],
    ['rest', 2],
  ]);
  const silent = host.routes.filter(({ action }) => action.case === 'route' && action.value.retryPolicy === undefined);
  expect(silent.map(({ name }) => name)).toEqual(['a', 'rest']);
});

test('a patch merges into the retries that a route has', () => {
  const { own } = retriesOf(
    envoyFilter({
      applyTo: 'HTTP_ROUTE',
      match: { context: 'SIDECAR_OUTBOUND', routeConfiguration: { vhost: { name: `${HOST}:80` } } },
      patch: { operation: 'MERGE', value: { route: { retry_policy: { num_retries: 7 } } } },
    }),
  );
  expect(own).toEqual([
    ['a', 7, true],
    ['once', 0, false],
    ['five', 7, true],
    ['rest', 7, true],
  ]);
});

test('a patch of the retries of one route leaves those of the others as they are', () => {
  const retries = { attempts: 3, backoff: '2s' };
  const http = ['a', 'b'].map((name) => ({ name, match: [{ uri: { prefix: `/${name}` } }], route: to, retries }));
  const backoff = { retry_back_off: { base_interval: '1s' } };
  const { host } = retriesOf(
    { ...RULE, spec: { hosts: ['shop'], http } },
    envoyFilter({
      applyTo: 'HTTP_ROUTE',
      match: {
        context: 'SIDECAR_OUTBOUND',
        routeConfiguration: { vhost: { name: `${HOST}:80`, route: { name: 'a' } } },
      },
      patch: { operation: 'MERGE', value: { route: { retry_policy: backoff } } },
    }),
  );
  const waits = host.routes.map(({ action }) =>
    action.case === 'route' ? action.value.retryPolicy?.retryBackOff?.baseInterval?.seconds : undefined,
  );
  expect(waits).toEqual([1n, 2n]);
});

test('a route that a patch adds is not tried again unasked', () => {
  const value = { name: 'added', match: { prefix: '/' }, route: { cluster: 'PassthroughCluster' } };
  const { own } = retriesOf(
    envoyFilter({
      applyTo: 'HTTP_ROUTE',
      match: { context: 'SIDECAR_OUTBOUND', routeConfiguration: { vhost: { name: `${HOST}:80` } } },
      patch: { operation: 'INSERT_FIRST', value },
    }),
  );
  expect(own.map(([name, attempts]) => [name, attempts])).toEqual([
    ['added', 0],
    ['a', 2],
    ['once', 0],
    ['five', 5],
    ['rest', 2],
  ]);
});

test('retries that a patch gives a host are for routes that have none', () => {
  const { host, own } = retriesOf(
    envoyFilter({
      applyTo: 'VIRTUAL_HOST',
      match: { context: 'SIDECAR_OUTBOUND' },
      patch: { operation: 'MERGE', value: { retry_policy: { retry_on: '5xx', num_retries: 9 } } },
    }),
  );
  expect(host.retryPolicy).toMatchObject({ retryOn: '5xx', numRetries: 9 });
  expect(own.map(([, attempts]) => attempts)).toEqual([2, 0, 5, 2]);
});

function shopPatched(value: object): Cluster {
  const filter = envoyFilter({
    applyTo: 'CLUSTER',
    match: { context: 'SIDECAR_OUTBOUND', cluster: { service: HOST } },
    patch: { operation: 'MERGE', value },
  });
  return fromBinary(ClusterSchema, compiled(filter).get(TYPE_URL.cluster)!.get(`outbound|80||${HOST}`)!.value);
}

test('a choice of socket that fits all endpoints is the socket of those that no other fits', () => {
  const raw = {
    name: 'envoy.transport_sockets.raw_buffer',
    typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer' },
  };
  const mine = { name: 'mine', match: { mine: 'yes' }, transport_socket: raw };
  const all = { name: 'all', match: {}, transport_socket: raw };
  const { transportSocketMatches, transportSocket } = shopPatched({ transport_socket_matches: [mine, all] });
  expect(transportSocketMatches.map(({ name }) => name)).toEqual(['tlsMode-istio', 'mine']);
  expect(transportSocket?.name).toBe(raw.name);
  expect(shopPatched({ transport_socket_matches: [mine] }).transportSocket).toBeUndefined();
});

test("a socket is merged into the mesh's by the name that all know it by", () => {
  const type = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext';
  const transport_socket = {
    name: 'envoy.transport_sockets.tls',
    typed_config: {
      '@type': type,
      max_session_keys: 0,
      common_tls_context: { tls_params: { ecdh_curves: ['P-256'] } },
    },
  };
  const { transportSocketMatches, transportSocket } = shopPatched({ transport_socket });
  expect(transportSocket).toBeUndefined();
  const [match] = transportSocketMatches;
  expect(match?.transportSocket?.name).toBe(transport_socket.name);
  const context = anyUnpack(match!.transportSocket!.configType.value!, UpstreamTlsContextSchema)!;
  expect(context.maxSessionKeys).toBe(0);
  expect(context.sni).toBe(`outbound_.80_._.${HOST}`);
  expect(context.commonTlsContext?.tlsParams?.ecdhCurves).toEqual(['P-256']);
});
