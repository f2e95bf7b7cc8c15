// SPDX-License-Identifier: Apache-2.0
import { describe, expect, test } from 'vitest';
import { readNode } from '../../injector/proxy-node.ts';
import type { PeerIdentity, XdsNode } from '../../xds/types.ts';
import { checkClaims } from './checked-claims.ts';

function node(id: string, metadata: Record<string, unknown> = {}): XdsNode {
  return { id, cluster: '', metadata, userAgentVersion: '1.40.0' };
}

const ID = 'sidecar~10.1.0.5~reviews-v1-0.default~default.svc.cluster.local';
const PEER: PeerIdentity = {
  trustDomain: 'cluster.local',
  clusterName: 'cluster1',
  namespace: 'default',
  serviceAccount: 'reviews',
  podName: 'reviews-v1-0',
  podUid: 'u',
  expiresAtMs: 0,
};

describe('claims against the token', () => {
  const claims = readNode(node(ID, { CLUSTER_ID: 'cluster1', SERVICE_ACCOUNT: 'reviews' }));

  test('what the token proves is believed', () => {
    expect(() => checkClaims(claims, PEER, 'cluster1')).not.toThrow();
  });

  test.each([
    ['namespace', { namespace: 'other' }],
    ['service account', { serviceAccount: 'admin' }],
    ['pod', { podName: 'reviews-v1-1' }],
    ['pod', { podName: '' }],
  ])('another %s is not', (what, change) => {
    expect(() => checkClaims(claims, { ...PEER, ...change }, 'cluster1')).toThrow(`its ${what} is`);
  });

  test('a node need not say its cluster: the token does', () => {
    expect(() => checkClaims(readNode(node(ID)), PEER, 'cluster1')).not.toThrow();
  });

  test('another name than the control plane’s own cluster has is refused at home, and means nothing elsewhere', () => {
    const other = readNode(node(ID, { CLUSTER_ID: 'Kubernetes', SERVICE_ACCOUNT: 'reviews' }));
    expect(() => checkClaims(other, PEER, 'cluster1')).toThrow('its cluster is "Kubernetes"');
    expect(() => checkClaims(other, { ...PEER, clusterName: 'n2-k8s-config' }, 'cluster1')).not.toThrow();
  });
});
