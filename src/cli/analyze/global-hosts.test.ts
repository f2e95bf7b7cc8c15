// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { judgeGlobalHosts } from './global-hosts.ts';

const API = 'networking.istio.io/v1';
const GATEWAY = '172.31.0.120';

function service(namespace: string, name: string, port: number, address?: string): KubeObject {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { ports: [{ name: 'http', port }] },
    ...(address && { status: { loadBalancer: { ingress: [{ ip: address }] } } }),
  };
}

const entry = (host: string, port = 5000, address = GATEWAY): KubeObject => ({
  apiVersion: API,
  kind: 'ServiceEntry',
  metadata: { name: 'far', namespace: 'app' },
  spec: {
    hosts: [host],
    location: 'MESH_INTERNAL',
    resolution: 'DNS',
    addresses: ['240.0.0.2'],
    ports: [{ name: 'http1', number: port, protocol: 'HTTP' }],
    endpoints: [{ address, labels: { cluster: 'c2' }, ports: { http1: 15443 } }],
  },
});

const rule = (host: string, ...subsets: { name: string; labels?: object }[]): KubeObject => ({
  apiVersion: API,
  kind: 'DestinationRule',
  metadata: { name: 'rule', namespace: 'hello' },
  spec: { host, subsets },
});

const FAR = [service('istio-system', 'istio-ingressgateway', 15443, GATEWAY), service('hello', 'helloworld', 5000)];

function said(client: readonly KubeObject[], far: readonly KubeObject[] = FAR, namespace?: string): string[] {
  const looked = (context: string, objects: readonly KubeObject[]) => ({
    context,
    objects: objects.map((object) => ({ object })),
    namespace,
  });
  return judgeGlobalHosts([looked('c1', client), looked('c2', far)]).map(
    ({ code, object, field, message }) => `${code} ${object.cluster} ${object.kind} ${field}: ${message}`,
  );
}

test('a service that is there, with its port and its subsets: nothing to say', () => {
  const local = rule('helloworld', { name: 'v2', labels: { version: 'v2' } });
  const remote = rule('helloworld.hello.global', { name: 'v2', labels: { cluster: 'c2' } });
  expect(said([entry('helloworld.hello.global'), remote], [...FAR, local])).toEqual([]);
});

test('a service, a port and a subset that the other cluster does not have', () => {
  expect(said([entry('helloworld.helo.global')])).toEqual([
    `ISM0101 c1 ServiceEntry spec.hosts[0]: ${GATEWAY} is the gateway of c2, which has no Service helloworld in namespace helo`,
  ]);
  expect(said([entry('helloworld.hello.global', 5001)])).toEqual([
    'ISM0103 c1 ServiceEntry spec.ports[0].number: Service hello/helloworld of c2 has no port 5001: its gateway refuses what goes there',
  ]);
  const remote = rule(
    'helloworld.hello.global',
    { name: 'v2', labels: { cluster: 'c2' } },
    { name: 'elsewhere', labels: { cluster: 'c3' } },
  );
  expect(said([entry('helloworld.hello.global'), remote])).toEqual([
    expect.stringMatching(/^ISM0102 c1 DestinationRule spec.subsets\[0\]: no DestinationRule of c2 .* subset v2/),
  ]);
});

test('what leads to none of the clusters that are looked at, or to nobody’s mesh, is not judged', () => {
  expect(said([entry('helloworld.helo.global', 5000, '192.0.2.1')])).toEqual([]);
  expect(said([entry('api.example.com')])).toEqual([]);
  expect(said([entry('helloworld.helo.global')], FAR, 'another')).toEqual([]);
  const broken = { ...entry('helloworld.helo.global'), spec: 'nonsense' };
  expect(said([broken])).toEqual([]);
});

test('a cluster that lets in what it exports only: what is not exported is told; what is has its versions as subsets', () => {
  const settings: KubeObject = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { mesh: 'gatewayServices: EXPORTED' },
  };
  const exported: KubeObject = {
    apiVersion: 'isthmus.io/v1alpha1',
    kind: 'ExportedService',
    metadata: { name: 'helloworld', namespace: 'hello' },
    spec: {
      cluster: 'c2',
      exportedAt: '2026-01-31T12:00:00Z',
      type: 'ClusterSetIP',
      ports: [{ name: 'http', port: 5000, protocol: 'HTTP' }],
      ready: 1,
      subsets: [{ name: 'v2', labels: { version: 'v2' }, ready: 1 }],
      gateways: [{ address: GATEWAY, port: 15443 }],
    },
  };
  const remote = rule('helloworld.hello.global', { name: 'v2', labels: { cluster: 'c2' } });
  const client = [entry('helloworld.hello.global'), remote];
  expect(said(client, [...FAR, settings])).toEqual([
    'ISM0320 c1 ServiceEntry spec.hosts[0]: c2 does not export Service hello/helloworld, and its gateway lets in what it exports only',
  ]);
  expect(said(client, [...FAR, settings, exported])).toEqual([]);
});
