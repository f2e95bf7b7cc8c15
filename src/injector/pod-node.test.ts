// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../kube/types.ts';
import { injectPod } from './inject.ts';
import { nodeOfPod } from './pod-node.ts';
import { readNode } from './proxy-node.ts';
import { DEFAULT_SETTINGS } from './settings.ts';

const SETTINGS = { ...DEFAULT_SETTINGS, proxyImage: 'isthmus/proxy:1.2.3', clusterId: 'cluster1', network: 'n1' };

function injected(delivery?: 'ALL_ON_DEMAND'): KubeObject {
  const pod = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-0', namespace: 'shop', labels: { app: 'web' } },
    spec: { serviceAccountName: 'web', containers: [{ name: 'app', image: 'i' }] },
  };
  const outcome = injectPod(pod, 'shop', { 'istio-injection': 'enabled' }, SETTINGS, delivery);
  if (outcome.kind !== 'inject') throw new Error(outcome.kind);
  const made = { ...structuredClone(pod), status: { podIP: '10.1.0.7' } } as Record<string, unknown>;
  for (const { path, value } of outcome.patch) {
    const [, parent, member] = path.split('/') as [string, string, string];
    (made[parent] as Record<string, unknown>)[member] = value;
  }
  return made as unknown as KubeObject;
}

test('what the injector wrote into the Pod, with what the kubelet fills in', () => {
  const claims = readNode(nodeOfPod(injected())!);
  expect(claims).toMatchObject({
    kind: 'sidecar',
    ip: '10.1.0.7',
    podName: 'web-0',
    namespace: 'shop',
    serviceAccount: 'web',
    clusterId: 'cluster1',
    network: 'n1',
    delivery: 'FULL',
    version: '1.2.3',
    facts: { workload: 'web-0', service: 'web', cluster: 'cluster1' },
  });
});

test('how its configuration is delivered is told too', () => {
  expect(readNode(nodeOfPod(injected('ALL_ON_DEMAND'))!).delivery).toBe('ALL_ON_DEMAND');
});

test('a Pod without a proxy, or with somebody else’s, says nothing', () => {
  const pod = (args: string[]) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n' },
    spec: { containers: [{ name: 'istio-proxy', args }] },
  });
  expect(nodeOfPod({ ...pod([]), spec: { containers: [{ name: 'app' }] } } as KubeObject)).toBeUndefined();
  expect(nodeOfPod(pod(['proxy', 'sidecar']) as KubeObject)).toBeUndefined();
});

test('$$ is a dollar, fields of the Pod come from the Pod, and what nobody knows stays', () => {
  const bootstrap = JSON.stringify({ node: { id: 'id', metadata: { A: '$(A)', B: '$$(A)', C: '$(C)', D: '$(D)' } } });
  const env = [
    { name: 'A', valueFrom: { fieldRef: { fieldPath: "metadata.labels['app']" } } },
    { name: 'D', value: 'of $(A)' },
  ];
  const node = nodeOfPod({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', labels: { app: 'web' } },
    spec: { initContainers: [{ name: 'istio-proxy', args: ['--config-yaml', bootstrap], env }] },
  } as KubeObject);
  expect(node?.metadata).toEqual({ A: 'web', B: '$(A)', C: '$(C)', D: 'of web' });
});
