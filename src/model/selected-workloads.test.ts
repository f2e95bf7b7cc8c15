// SPDX-License-Identifier: Apache-2.0
// Who is selected, while objects come, change and go.
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { MeshStore } from './store.ts';

class Mesh {
  readonly #store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'cluster1',
  });

  put(...objects: KubeObject[]): void {
    this.#store.apply(objects.map((object) => ({ kind: 'upsert', cluster: 'cluster1', object })));
  }

  remove(...objects: KubeObject[]): void {
    this.#store.apply(objects.map((object) => ({ kind: 'delete', cluster: 'cluster1', object })));
  }

  get revision(): number {
    return this.#store.snapshot.revision;
  }

  /** `ADDRESS:PORT`, of all endpoints of the host. */
  endpoints(host: string): string[] {
    const { index, endpoints } = this.#store.snapshot;
    const [service] = index.servicesByHost.get(host) ?? [];
    const set = service === undefined ? [] : (endpoints.get(service.key) ?? []);
    return set.map(({ address, ports }) => `${address}:${Object.values(ports).join()}`);
  }
}

const metadata = (name: string, more: object = {}) => ({ name, namespace: 'default', ...more });

function machine(name: string, spec: object, more: object = {}, status?: object): KubeObject {
  const object = { apiVersion: 'networking.istio.io/v1', kind: 'WorkloadEntry', metadata: metadata(name, more), spec };
  return { ...object, ...(status && { status }) };
}

function pod(name: string, ip: string, isReady: boolean, app = 'web'): KubeObject {
  const conditions = [{ type: 'Ready', status: isReady ? 'True' : 'False' }];
  const labels = { app, 'security.istio.io/tlsMode': 'istio' };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: metadata(name, { labels }),
    spec: { serviceAccountName: 'web' },
    status: { podIP: ip, conditions },
  };
}

const ENTRY: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: metadata('web'),
  spec: {
    hosts: ['web.example.com'],
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
    resolution: 'STATIC',
    workloadSelector: { labels: { app: 'web' } },
  },
};

function service(selector: object): KubeObject {
  const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadata('web'),
    spec: { clusterIP: '10.96.0.1', selector, ports },
  };
}

const HOST = 'web.example.com';
const SERVICE = 'web.default.svc.cluster.local';

test('whoever comes first, the selector or what it selects', () => {
  const mesh = new Mesh();
  const first = machine('a', { address: '192.0.2.1', labels: { app: 'web' } });
  mesh.put(first);
  mesh.put(ENTRY, service({ app: 'web' }));
  mesh.put(machine('b', { address: '192.0.2.2', labels: { app: 'web' }, ports: { http: 8081 } }));
  expect(mesh.endpoints(HOST)).toEqual(['192.0.2.1:80', '192.0.2.2:8081']);
  expect(mesh.endpoints(SERVICE)).toEqual(['192.0.2.1:8080', '192.0.2.2:8081']);
  mesh.remove(first);
  expect(mesh.endpoints(HOST)).toEqual(['192.0.2.2:8081']);
  mesh.put(machine('b', { address: '192.0.2.2', labels: { app: 'other' } }));
  expect(mesh.endpoints(HOST)).toEqual([]);
  expect(mesh.endpoints(SERVICE)).toEqual([]);
});

test('a selector that changes selects others', () => {
  const mesh = new Mesh();
  mesh.put(
    machine('a', { address: '192.0.2.1', labels: { app: 'web' } }),
    machine('b', { address: '192.0.2.2', labels: { app: 'new' } }),
    service({ app: 'web' }),
  );
  expect(mesh.endpoints(SERVICE)).toEqual(['192.0.2.1:8080']);
  mesh.put(service({ app: 'new' }));
  expect(mesh.endpoints(SERVICE)).toEqual(['192.0.2.2:8080']);
});

test('pods are endpoints of entries while they are ready', () => {
  const mesh = new Mesh();
  mesh.put(ENTRY, pod('web-0', '10.1.0.1', false));
  expect(mesh.endpoints(HOST)).toEqual([]);
  mesh.put(pod('web-0', '10.1.0.1', true));
  expect(mesh.endpoints(HOST)).toEqual(['10.1.0.1:80']);
  mesh.put(pod('web-0', '10.1.0.1', false));
  expect(mesh.endpoints(HOST)).toEqual([]);
  mesh.put(pod('web-0', '10.1.0.1', true));
  mesh.remove(pod('web-0', '10.1.0.1', true));
  expect(mesh.endpoints(HOST)).toEqual([]);
});

test('health that is asked for decides', () => {
  const asked = { annotations: { 'proxy.istio.io/health-checks-enabled': 'true' }, labels: { app: 'web' } };
  const told = (status: string) =>
    machine('a', { address: '192.0.2.1' }, asked, { conditions: [{ type: 'Healthy', status }] });
  const mesh = new Mesh();
  mesh.put(ENTRY, machine('a', { address: '192.0.2.1' }, asked));
  expect(mesh.endpoints(HOST)).toEqual([]);
  mesh.put(told('True'));
  expect(mesh.endpoints(HOST)).toEqual(['192.0.2.1:80']);
  mesh.put(told('False'));
  expect(mesh.endpoints(HOST)).toEqual([]);
});

test('a group that comes, changes or goes changes what its members say', () => {
  const group = (port: number): KubeObject => ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'WorkloadGroup',
    metadata: metadata('machines'),
    spec: { template: { labels: { app: 'web' }, ports: { http: port } } },
  });
  const mesh = new Mesh();
  const named = { annotations: { 'istio.io/autoRegistrationGroup': 'machines' } };
  mesh.put(ENTRY, machine('a', { address: '192.0.2.1' }, named));
  expect(mesh.endpoints(HOST)).toEqual([]);
  mesh.put(group(8081));
  expect(mesh.endpoints(HOST)).toEqual(['192.0.2.1:8081']);
  mesh.put(group(8082));
  expect(mesh.endpoints(HOST)).toEqual(['192.0.2.1:8082']);
  mesh.remove(group(8082));
  expect(mesh.endpoints(HOST)).toEqual([]);
});

test('what nobody selects changes no endpoint', () => {
  const mesh = new Mesh();
  mesh.put(ENTRY, service({ app: 'web' }), machine('a', { address: '192.0.2.1', labels: { app: 'web' } }));
  const before = mesh.revision;
  mesh.put(machine('b', { address: '192.0.2.2', labels: { app: 'other' } }));
  mesh.put(machine('c', { address: '192.0.2.3', labels: { app: 'web' } }, { namespace: 'elsewhere' }));
  expect(mesh.revision).toBe(before);
});
