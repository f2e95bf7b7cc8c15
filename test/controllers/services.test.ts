// SPDX-License-Identifier: Apache-2.0
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ENDPOINT_SLICES, ENDPOINTS, EVENTS, PODS, SERVICES } from '../../src/kube/resources.ts';
import type { EndpointSlice, Endpoints, Pod, Service } from '../../src/sandbox/controllers/objects.ts';
import { eventually } from '../fixture/waiting.ts';
import { NODE_NAME, POOL, setReady, startCluster, type TestCluster } from './cluster.ts';

let cluster: TestCluster;
let namespace: string;
beforeAll(async () => {
  cluster = await startCluster();
});
afterAll(() => cluster?.close());
beforeEach(async () => {
  namespace = await cluster.namespace();
});

function service(name: string, spec: Partial<Service['spec']>): Service {
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace, labels: { app: name } }, spec };
}

async function createPod(name: string, port: number, labels = { app: 's' }): Promise<Pod> {
  const spec = {
    containers: [{ name: 'main', image: 'example/web:1', ports: [{ name: 'http', containerPort: port }] }],
  };
  // A service account takes a moment to appear in a new namespace.
  await eventually(() =>
    cluster.client.create(PODS, { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels }, spec }),
  );
  return await eventually(async () => {
    const pod = await cluster.client.get<Pod>(PODS, name, namespace);
    return pod?.spec.nodeName ? pod : undefined;
  });
}

const slicesOf = async (name: string) =>
  (
    await cluster.client.list<EndpointSlice>(ENDPOINT_SLICES, {
      namespace,
      labelSelector: `kubernetes.io/service-name=${name}`,
    })
  ).items;
const endpointsOf = async (name: string) => await cluster.client.get<Endpoints>(ENDPOINTS, name, namespace);

describe('endpoints', () => {
  test('a Service without pods has empty Endpoints and one empty slice, as recorded from a real cluster', async () => {
    await cluster.client.create(SERVICES, service('s', { selector: { app: 's' }, ports: [{ port: 80 }] }));
    const [slice] = await eventually(async () => ((await slicesOf('s')).length > 0 ? await slicesOf('s') : undefined));
    expect(slice).toMatchObject({
      addressType: 'IPv4',
      metadata: {
        generateName: 's-',
        labels: {
          app: 's',
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
          'kubernetes.io/service-name': 's',
        },
        ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: 's', controller: true, blockOwnerDeletion: true }],
      },
    });
    expect(slice?.endpoints ?? []).toEqual([]);
    const endpoints = await eventually(() => endpointsOf('s'));
    expect(endpoints.metadata.labels).toEqual({
      app: 's',
      'endpoints.kubernetes.io/managed-by': 'endpoint-controller',
    });
    expect(endpoints.subsets ?? []).toEqual([]);
  });

  test('pods come, become ready, and terminate; named ports follow the pod', async () => {
    await cluster.client.create(
      SERVICES,
      service('s', { selector: { app: 's' }, ports: [{ name: 'web', port: 80, targetPort: 'http' }] }),
    );
    const pod = await createPod('p1', 8080);
    await setReady(cluster.client, pod, '10.1.0.1', false);
    const targetRef = { kind: 'Pod', namespace, name: 'p1', uid: pod.metadata.uid };
    await eventually(async () => {
      const [slice] = await slicesOf('s');
      expect(slice?.ports).toEqual([{ name: 'web', port: 8080, protocol: 'TCP' }]);
      expect(slice?.endpoints).toEqual([
        {
          addresses: ['10.1.0.1'],
          conditions: { ready: false, serving: false, terminating: false },
          nodeName: NODE_NAME,
          targetRef,
          zone: 'zone-a',
        },
      ]);
      const ports = [{ name: 'web', port: 8080, protocol: 'TCP' }];
      const notReadyAddresses = [{ ip: '10.1.0.1', nodeName: NODE_NAME, targetRef }];
      expect((await endpointsOf('s'))?.subsets).toEqual([{ notReadyAddresses, ports }]);
      return true;
    });
    await setReady(cluster.client, pod, '10.1.0.1');
    await eventually(async () => (await slicesOf('s'))[0]?.endpoints?.[0]?.conditions.ready);
    await eventually(async () => (await endpointsOf('s'))?.subsets?.[0]?.addresses?.[0]?.ip === '10.1.0.1');
    await cluster.client.delete(PODS, 'p1', namespace);
    await eventually(async () => {
      expect((await slicesOf('s'))[0]?.endpoints?.[0]?.conditions).toEqual({
        ready: false,
        serving: true,
        terminating: true,
      });
      expect((await endpointsOf('s'))?.subsets ?? []).toEqual([]);
      return true;
    });
    await cluster.client.delete(PODS, 'p1', namespace, { gracePeriodSeconds: 0 });
    await eventually(async () => ((await slicesOf('s'))[0]?.endpoints ?? []).length === 0);
  });

  test('pods with different numbers for one named port are in different slices', async () => {
    await cluster.client.create(
      SERVICES,
      service('s', { selector: { app: 's' }, ports: [{ port: 80, targetPort: 'http' }] }),
    );
    await setReady(cluster.client, await createPod('p1', 8080), '10.1.0.1');
    await setReady(cluster.client, await createPod('p2', 9090), '10.1.0.2');
    await eventually(async () => {
      const found = (await slicesOf('s')).map(({ ports, endpoints }) => [
        ports?.[0]?.port,
        endpoints?.[0]?.addresses[0],
      ]);
      expect(found.sort()).toEqual([
        [8080, '10.1.0.1'],
        [9090, '10.1.0.2'],
      ]);
      return true;
    });
  });

  test('headless, with addresses that are not ready published', async () => {
    const spec = { clusterIP: 'None', publishNotReadyAddresses: true, selector: { app: 's' }, ports: [{ port: 80 }] };
    await cluster.client.create(SERVICES, service('s', spec));
    await setReady(cluster.client, await createPod('p1', 8080), '10.1.0.1', false);
    await eventually(async () => {
      const [slice] = await slicesOf('s');
      expect(slice?.metadata.labels?.['service.kubernetes.io/headless']).toBe('');
      expect(slice?.endpoints?.[0]?.conditions).toEqual({ ready: true, serving: false, terminating: false });
      expect((await endpointsOf('s'))?.subsets?.[0]?.addresses?.[0]?.ip).toBe('10.1.0.1');
      return true;
    });
  });

  test('a Service without a selector is left alone; hand-written Endpoints are mirrored, and follow the Service', async () => {
    await cluster.client.create(SERVICES, service('manual', { ports: [{ port: 80 }] }));
    const subsets = [
      { addresses: [{ ip: '198.51.100.7' }], notReadyAddresses: [{ ip: '198.51.100.8' }], ports: [{ port: 81 }] },
    ];
    await cluster.client.create(ENDPOINTS, {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'manual', namespace },
      subsets,
    });
    await eventually(async () => {
      const [slice] = await slicesOf('manual');
      expect(slice?.metadata.labels?.['endpointslice.kubernetes.io/managed-by']).toBe(
        'endpointslicemirroring-controller.k8s.io',
      );
      expect(slice?.ports).toEqual([{ name: '', port: 81, protocol: 'TCP' }]);
      expect(slice?.endpoints).toEqual([
        { addresses: ['198.51.100.7'], conditions: { ready: true } },
        { addresses: ['198.51.100.8'], conditions: { ready: false } },
      ]);
      return true;
    });
    expect((await endpointsOf('manual'))?.subsets?.[0]?.addresses).toEqual([{ ip: '198.51.100.7' }]);
    await cluster.client.delete(SERVICES, 'manual', namespace);
    await eventually(
      async () => (await endpointsOf('manual')) === undefined && (await slicesOf('manual')).length === 0,
    );
  });

  test('what somebody breaks is put right', async () => {
    await cluster.client.create(SERVICES, service('s', { selector: { app: 's' }, ports: [{ port: 80 }] }));
    await setReady(cluster.client, await createPod('p1', 8080), '10.1.0.1');
    await eventually(async () => (await slicesOf('s'))[0]?.endpoints?.[0]?.conditions.ready);
    await cluster.client.delete(ENDPOINTS, 's', namespace);
    await cluster.client.patch(ENDPOINT_SLICES, (await slicesOf('s'))[0]?.metadata.name ?? '', namespace, {
      endpoints: null,
    });
    await eventually(async () => (await endpointsOf('s'))?.subsets?.[0]?.addresses?.[0]?.ip === '10.1.0.1');
    await eventually(async () => (await slicesOf('s'))[0]?.endpoints?.[0]?.addresses[0] === '10.1.0.1');
  });
});

test('load balancers: addresses in order, kept, refused with an Event when there is none, given on when one is freed', async () => {
  const addressOf = async (name: string) =>
    (await cluster.client.get<Service>(SERVICES, name, namespace))?.status?.loadBalancer?.ingress?.[0]?.ip;
  const balanced = { type: 'LoadBalancer', selector: { app: 's' }, ports: [{ port: 80 }] };
  await cluster.client.create(SERVICES, service('first', balanced));
  await eventually(async () => (await addressOf('first')) === POOL[0]);
  await cluster.client.create(SERVICES, service('second', balanced));
  await eventually(async () => (await addressOf('second')) === POOL[1]);
  await cluster.client.create(SERVICES, service('third', balanced));
  await eventually(async () => {
    const events = (await cluster.client.list(EVENTS, { namespace })).items;
    const refused = events.find((event) => event['reason'] === 'SyncLoadBalancerFailed');
    expect(refused?.['message']).toMatch(/all 2 addresses of this cluster are in use; delete a Service/);
    return true;
  });
  expect(await addressOf('third')).toBeUndefined();
  await cluster.client.delete(SERVICES, 'first', namespace);
  await eventually(async () => (await addressOf('third')) === POOL[0]);
  await cluster.client.patch(SERVICES, 'second', namespace, { spec: { type: 'ClusterIP' } });
  await eventually(async () => (await addressOf('second')) === undefined);
  await cluster.client.create(SERVICES, service('wish', { ...balanced, loadBalancerIP: POOL[1] ?? '' }));
  await eventually(async () => (await addressOf('wish')) === POOL[1]);
  expect(await addressOf('third')).toBe(POOL[0]);
});
