// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { checkRegistries } from './registries.ts';

const settings = (meshNetworks: string) => ({
  object: {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'istio', namespace: 'istio-system' },
    data: { meshNetworks },
  },
});
const NETWORKS = `networks:
  network1: { endpoints: [{ fromRegistry: Kubernetes }, { fromRegistry: cluster1 }] }
  network2:
    endpoints:
    - fromRegistry: n2-k8s-config
    - fromRegistry: n3-k8s-config
    - fromCidr: 10.9.0.0/16
`;

test('a registry that no Secret names is told with its line', () => {
  const told = checkRegistries([settings(NETWORKS)], ['cluster1', 'n2-k8s-config']);
  expect(told.map(({ code, field, message }) => `${code} ${field} ${message}`)).toEqual([
    'ISM0114 data.meshNetworks.networks.network2.endpoints[1].fromRegistry line 6 of meshNetworks: no cluster of the mesh ' +
      'is called n3-k8s-config: what should be on network2 is on no network',
  ]);
  expect(checkRegistries([settings(NETWORKS)], ['cluster1', 'n2-k8s-config', 'n3-k8s-config'])).toEqual([]);
});

test('the cure is the label, which is forgotten most easily, or a name that is there, each once', () => {
  const [told] = checkRegistries([settings('networks: { n: { endpoints: [{ fromRegistry: n2 }] } }')], ['Kubernetes']);
  expect(told?.cure).toBe(
    'give the Secret of its kubeconfig the key n2 and the label istio/multiCluster=true, ' +
      'or write the name of a cluster that is there: Kubernetes',
  );
});

test('networks that cannot be read are told by others', () => {
  expect(checkRegistries([settings('networks: [')], [])).toEqual([]);
});
