// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { XdsNode } from '../xds/types.ts';
import { buildBootstrap } from './bootstrap.ts';
import { readNode } from './proxy-node.ts';

function node(id: string, metadata: Record<string, unknown> = {}): XdsNode {
  return { id, cluster: '', metadata, userAgentVersion: '1.40.0' };
}

const ID = 'sidecar~10.1.0.5~reviews-v1-0.default~default.svc.cluster.local';
test('reads what the bootstrap writes', () => {
  const bootstrap = buildBootstrap({
    kind: 'gateway',
    podName: 'gw-0',
    podIp: '10.1.0.9',
    namespace: 'istio-system',
    serviceAccount: 'gw',
    clusterId: 'cluster1',
    network: 'n1',
    metadata: {
      REQUESTED_NETWORK_VIEW: 'external, far,',
      INSTANCE_IPS: '10.1.0.9,fd00::9',
      WORKLOAD_NAME: 'gw',
      CANONICAL_REVISION: 'latest',
    },
    dnsDomain: 'cluster.local',
    ads: { address: 'a:1', rootCertPath: '/r', tokenPath: '/t' },
    adminPipe: '/a',
    excludeOutboundBy: 'mark',
  });
  const written = bootstrap['node'] as { id: string; metadata: Record<string, unknown> };
  expect(readNode(node(written.id, written.metadata))).toEqual({
    kind: 'gateway',
    ip: '10.1.0.9',
    podName: 'gw-0',
    namespace: 'istio-system',
    dnsDomain: 'cluster.local',
    clusterId: 'cluster1',
    serviceAccount: 'gw',
    network: 'n1',
    requestedNetworks: ['external', 'far'],
    labels: {},
    instanceIps: ['10.1.0.9', 'fd00::9'],
    upstreamMark: 1337,
    delivery: 'FULL',
    version: '1.40.0',
    metadata: Object.fromEntries(Object.entries(written.metadata).filter(([, value]) => typeof value === 'string')),
    facts: {
      workload: 'gw',
      revision: 'latest',
      service: 'unknown',
      app: 'unknown',
      version: 'unknown',
      cluster: 'unknown',
    },
  });
});

test.each([
  ['', 'not of the form'],
  ['envoy~10.1.0.5~a.b~b.svc.cluster.local', 'not of the form'],
  ['sidecar~10.1.0.5~a~b.svc.cluster.local', 'not of the form'],
  ['sidecar~10.1.0.5~a.b~b.svc.cluster.local~more', 'not of the form'],
  ['sidecar~nowhere~a.b~b.svc.cluster.local', '"nowhere" is not an IP address'],
])('node id "%s" is refused: %s', (id, reason) => {
  expect(() => readNode(node(id))).toThrow(reason);
});

test('metadata that contradicts the id is refused', () => {
  expect(() => readNode(node(ID, { NAMESPACE: 'kube-system' }))).toThrow('NAMESPACE is "kube-system"');
});
