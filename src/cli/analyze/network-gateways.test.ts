// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { type GatewayCluster, tellDeadGateways } from './network-gateways.ts';

const namespace = 'istio-system';
const ADDRESS = '10.2.0.9';
const byAddress = (address = ADDRESS, port = 443) => `{ address: ${address}, port: ${port} }`;
const settings = (gateway: string, endpoint = '{ fromRegistry: n2 }') => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name: 'istio', namespace },
  data: {
    meshNetworks: `networks:\n  network2:\n    endpoints: [${endpoint}]\n    gateways:\n    - ${gateway}\n`,
  },
});
const service = (ip: string | undefined, name = 'ingress') => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name, namespace },
  spec: { selector: { app: name }, ports: [{ name: 'https', port: 443, nodePort: 31390 }] },
  status: { loadBalancer: { ingress: ip === undefined ? [] : [{ ip }] } },
});
const slice = (ready: boolean, port = 'https') => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 'ingress-x', namespace, labels: { 'kubernetes.io/service-name': 'ingress' } },
  ports: [{ name: port, port: 443 }],
  endpoints: [{ addresses: ['10.244.0.7'], conditions: { ready } }],
});
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace, labels: { app: 'ingress' } } };
const node = (address: string) => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node' },
  status: { addresses: [{ type: 'ExternalIP', address }] },
});
type Kube = GatewayCluster['objects'][number]['object'];
const cluster = (context: string, objects: readonly Kube[], more: Partial<GatewayCluster> = {}): GatewayCluster => ({
  context,
  shownAs: context,
  server: `https://${context}:6443`,
  caPem: context,
  objects: objects.map((object) => ({ object })),
  nodes: [],
  installation: { role: 'remote', registries: [], clusterName: undefined },
  ...more,
});
const secret = { apiVersion: 'v1', kind: 'Secret', namespace, name: 's' };
const ruling = (...objects: Kube[]) =>
  cluster('c1', objects, {
    installation: {
      role: 'primary',
      clusterName: 'own',
      registries: [{ name: 'n2', secret, config: { server: 'https://c2:6443' } }],
    },
  });
const remote = (...objects: Kube[]) => cluster('c2', objects);
const said = (...clusters: GatewayCluster[]) =>
  tellDeadGateways(clusters).map(({ code, field, message }) => `${code} ${field} ${message}`);
const GATEWAY = 'data.meshNetworks.networks.network2.gateways[0]';

test('a gateway without a pod is told with network, address, cluster, Service and the commands', () => {
  const [told, ...more] = tellDeadGateways([ruling(settings(byAddress())), remote(service(ADDRESS))]);
  expect(more).toEqual([]);
  expect(told).toMatchObject({
    code: 'ISM0317',
    severity: 'warning',
    object: { kind: 'ConfigMap', name: 'istio', cluster: 'c1' },
    field: `${GATEWAY}.address`,
    message:
      'line 5 of meshNetworks: the gateway 10.2.0.9:443 of network network2 is Service istio-system/ingress of c2, which ' +
      'has no ready endpoint (it has no pod): nobody answers other networks there',
    cure: expect.stringContaining('kubectl --context c2 -n istio-system scale deployment ingress --replicas=1'),
  });
});

test('pods that are not ready, or not for this port', () => {
  const [told] = tellDeadGateways([ruling(settings(byAddress())), remote(service(ADDRESS), slice(false), pod)]);
  expect(told?.message).toContain('none of its pods is ready');
  expect(told?.cure).toBe('kubectl --context c2 -n istio-system describe pods -l app=ingress says why none is ready');
  expect(said(ruling(settings(byAddress())), remote(service(ADDRESS), slice(true, 'http'), pod))).toHaveLength(1);
});

test('nothing of a gateway that is ready', () => {
  expect(said(ruling(settings(byAddress())), remote(service(ADDRESS), slice(true)))).toEqual([]);
});

test('a port that the Service does not have', () => {
  const [told, ...more] = tellDeadGateways([
    ruling(settings(byAddress(ADDRESS, 15443))),
    remote(service(ADDRESS), slice(true)),
  ]);
  expect(more).toEqual([]);
  expect(told).toMatchObject({ code: 'ISM0317', field: `${GATEWAY}.port` });
  expect(told?.message).toContain('Service istio-system/ingress of c2, which has no port 15443');
  expect(told?.cure).toContain(
    'write one of its ports here (kubectl --context c1 -n istio-system edit configmap istio): 443',
  );
});

test('a Service by its name, whose field is told', () => {
  const named = settings('{ registryServiceName: ingress.istio-system.svc.cluster.local, port: 443 }');
  expect(said(ruling(named), remote(service(undefined)))).toEqual([
    expect.stringMatching(/^ISM0317 .*\.registryServiceName .*the gateway of network network2 is Service .* of c2/),
  ]);
  expect(said(ruling(named), remote(service(undefined), slice(true)))).toEqual([]);
});

test('the address of a node: the Service that has the port on nodes', () => {
  const byNode = settings(byAddress('192.0.2.1', 31390));
  const at = (nodes: GatewayCluster['nodes'], ...objects: Kube[]) => ({ ...remote(...objects), nodes });
  const nodes = [node('192.0.2.1')];
  expect(said(ruling(byNode), at(nodes, service(undefined)))).toEqual([
    expect.stringContaining('192.0.2.1:31390 of network network2 is Service istio-system/ingress of c2'),
  ]);
  expect(said(ruling(byNode), at(nodes, service(undefined), slice(true)))).toEqual([]);
  expect(said(ruling(byNode), at(undefined, service(undefined)))).toEqual([]);
  // A pod's own port there (hostPort) is no Service's, even where load balancers have the addresses of nodes.
  const byHostPort = settings(byAddress('192.0.2.1', 8443));
  expect(said(ruling(byHostPort), at(nodes, service('192.0.2.1')))).toEqual([]);
  expect(said(ruling(byHostPort), at(undefined, service('192.0.2.1')))).toEqual([]);
});

test('no alarm where the network’s cluster is not analyzed, although another has the same private address', () => {
  expect(said(ruling(settings(byAddress()), service(ADDRESS)))).toEqual([]);
  expect(said(ruling(settings(byAddress())), cluster('c3', [service(ADDRESS)]))).toEqual([]);
  expect(said(ruling(settings(byAddress())), remote())).toEqual([]);
});

test('a network by addresses may be entered anywhere; two clusters with one address are told only if both are dead', () => {
  const config = settings(byAddress(), '{ fromCidr: 10.0.0.0/8 }');
  expect(said(ruling(config, service(ADDRESS)))).toHaveLength(1);
  expect(said(ruling(config, service(ADDRESS)), remote(service(ADDRESS), slice(true)))).toEqual([]);
});

test('the control plane’s own cluster, by either of its names', () => {
  for (const name of ['Kubernetes', 'own']) {
    const config = settings(byAddress(), `{ fromRegistry: ${name} }`);
    expect(said(ruling(config, service(ADDRESS)))).toHaveLength(1);
  }
});

test('settings of a cluster that another rules have no force; those that cannot be read are told elsewhere', () => {
  expect(said(remote(settings(byAddress(), '{ fromCidr: 10.0.0.0/8 }'), service(ADDRESS)))).toEqual([]);
  expect(said(ruling(settings('{ address: }')), remote(service(ADDRESS)))).toEqual([]);
});

test('names of load balancers have no case', () => {
  const named = { ...service(undefined), status: { loadBalancer: { ingress: [{ hostname: 'lb.example.com' }] } } };
  expect(said(ruling(settings(byAddress('LB.example.com.'))), remote(named))).toHaveLength(1);
});
