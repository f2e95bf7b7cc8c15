// SPDX-License-Identifier: Apache-2.0
// The compile stages alone, without streams: CPU time for 1,000 services and 500 sidecars in ten namespaces, each service
// with two subsets, a header-matched route and a weighted one; in the end a hundred of them have pods on another network
// too. Figures are of this machine; compare within one run.
import { clusterName } from '../src/api/names.ts';
import type { KubeObject } from '../src/kube/types.ts';
import type { MeshProxy } from '../src/model/proxy.ts';
import { MeshStore, type StoreEvent } from '../src/model/store.ts';
import { CompileCache, compileProxy } from '../src/pipeline.ts';

const SERVICES = 1000;
const SIDECARS = 500;
const NAMESPACES = 10;
const FAR_SERVICES = 100;
const ROUNDS = 5;

const upsert = (object: KubeObject): StoreEvent => ({ kind: 'upsert', cluster: 'bench', object });
const namespaceOf = (i: number) => `ns${i % NAMESPACES}`;

function mesh(kind: string, i: number, spec: object): KubeObject {
  const metadata = { name: `svc-${i}`, namespace: namespaceOf(i) };
  return { apiVersion: 'networking.istio.io/v1', kind, metadata, spec };
}

function virtualService(i: number, weight: number): KubeObject {
  const to = (subset: string, share?: number) => ({
    destination: { host: `svc-${i}`, subset },
    ...(share !== undefined && { weight: share }),
  });
  return mesh('VirtualService', i, {
    hosts: [`svc-${i}`],
    http: [
      { match: [{ headers: { 'end-user': { exact: 'jason' } } }], route: [to('v2')] },
      { route: [to('v1', weight), to('v2', 100 - weight)] },
    ],
  });
}

function endpointSlice(i: number, count: number): KubeObject {
  const [name, namespace] = [`svc-${i}`, namespaceOf(i)];
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${name}-1`, namespace, labels: { 'kubernetes.io/service-name': name } },
    ports: [{ name: 'http', port: 8080 }],
    endpoints: Array.from({ length: count }, (_, k) => ({
      addresses: [`10.${k + 1}.${i >> 8}.${i & 255}`],
      targetRef: { kind: 'Pod', name: `${name}-${k % 4}` },
    })),
  };
}

function* wholeMesh(): Generator<StoreEvent> {
  for (let i = 0; i < SERVICES; i++) {
    const [name, namespace] = [`svc-${i}`, namespaceOf(i)];
    const ports = [{ name: 'http', port: 8080 }];
    const spec = { clusterIP: `10.96.${i >> 8}.${i & 255}`, selector: { app: name }, ports };
    yield upsert({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec });
    for (let k = 0; k < 4; k++) {
      const labels = { app: name, version: k % 2 === 0 ? 'v1' : 'v2', 'security.istio.io/tlsMode': 'istio' };
      const metadata = { name: `${name}-${k}`, namespace, labels };
      yield upsert({ apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [] } });
    }
    yield upsert(endpointSlice(i, 4));
    const subsets = ['v1', 'v2'].map((version) => ({ name: version, labels: { version } }));
    yield upsert(mesh('DestinationRule', i, { host: name, subsets }));
    yield upsert(virtualService(i, 50));
  }
}

/** A second cluster, on a network of its own, has pods of the first hundred services. */
function* farCluster(): Generator<StoreEvent> {
  for (const event of wholeMesh()) {
    if (event.kind !== 'upsert' || !['Service', 'Pod', 'EndpointSlice'].includes(event.object.kind)) continue;
    const [, number] = /^svc-(\d+)/.exec(event.object.metadata.name ?? '') ?? [];
    if (Number(number) < FAR_SERVICES) yield { ...event, cluster: 'far' };
  }
}

function networks(gateway: string): StoreEvent {
  const far = { endpoints: [{ fromRegistry: 'far' }], gateways: [{ address: gateway, port: 15443 }] };
  const metadata = { name: 'istio', namespace: 'istio-system' };
  const data = { meshNetworks: JSON.stringify({ networks: { far } }) };
  return upsert({ apiVersion: 'v1', kind: 'ConfigMap', metadata, data });
}

const sidecars = Array.from(
  { length: SIDECARS },
  (_, i): MeshProxy => ({
    id: String(i),
    kind: 'sidecar',
    cluster: clusterName('bench'),
    namespace: namespaceOf(i),
    podName: `svc-${i}-0`,
    ip: '10.1.0.1',
    labels: { app: `svc-${i}` },
    serviceAccount: 'default',
    network: '',
    requestedNetworks: [],
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
  }),
);

function cpuMs(work: () => void): number {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function print(figure: string, value: string): void {
  console.log(`${figure.padEnd(64)} ${value.padStart(10)}`);
}

const settings = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
const store = new MeshStore({ ...settings, configCluster: 'bench' });
const cache = new CompileCache();
const all = [...wholeMesh()];
const compileAll = () => {
  for (const sidecar of sidecars) compileProxy(store.snapshot, sidecar, cache);
};
const changed = (event: StoreEvent) =>
  cpuMs(() => {
    store.apply([event]);
    compileAll();
  });

print(
  `compile, ${SERVICES} services: decode and index all objects, CPU`,
  `${cpuMs(() => void store.apply(all)).toFixed(0)} ms`,
);
print(`compile for ${SIDECARS} sidecars from nothing, CPU`, `${cpuMs(compileAll).toFixed(0)} ms`);
const rules = Array.from({ length: ROUNDS }, (_, i) => changed(upsert(virtualService(7, 10 + i))));
print(`compile for ${SIDECARS} sidecars, one VirtualService changed, CPU`, `${median(rules).toFixed(0)} ms`);
const endpoints = Array.from({ length: ROUNDS }, (_, i) => changed(upsert(endpointSlice(7, 5 + i))));
print(`compile for ${SIDECARS} sidecars, one endpoint changed, CPU`, `${median(endpoints).toFixed(0)} ms`);
store.apply([...farCluster(), networks('198.51.100.1')]);
compileAll();
const gateways = Array.from({ length: ROUNDS }, (_, i) => changed(networks(`198.51.100.${i + 2}`)));
print(
  `compile for ${SIDECARS} sidecars, gateway to ${FAR_SERVICES} services changed, CPU`,
  `${median(gateways).toFixed(0)} ms`,
);
print('memory of the process (RSS)', `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB`);
