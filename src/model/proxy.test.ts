// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import { decodePod } from '../api/kubernetes.ts';
import { buildMeshProxy, type ProxyClaims } from './proxy.ts';

const CLAIMS: ProxyClaims = {
  kind: 'sidecar',
  namespace: 'default',
  podName: 'a',
  ip: '10.1.0.5',
  labels: {},
  serviceAccount: 'default',
  network: '',
  requestedNetworks: [],
  dnsDomain: 'cluster.local',
  instanceIps: ['10.1.0.5', 'fd00::5'],
  upstreamMark: undefined,
  delivery: 'FULL',
  version: '',
  metadata: {},
};

function podAt(...ips: string[]) {
  const status = { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) };
  return decodePod(
    { apiVersion: 'v1', kind: 'Pod', metadata: { namespace: 'default', name: 'a' }, spec: {}, status },
    'c',
  );
}

function familiesWith(workload: ReturnType<typeof podAt> | undefined, isBelieved: boolean, claims = CLAIMS) {
  const known = { id: 'a', cluster: 'c', trustDomain: 'cluster.local' };
  return buildMeshProxy({ ...known, claims, workload, isBelieved }).families;
}

test('the IP families of a proxy are those of its pod, whatever it says', () => {
  expect(familiesWith(podAt('10.1.0.5'), false)).toBeUndefined();
  expect(familiesWith(podAt('10.1.0.5', 'fd00::5'), false)).toBe('both');
  expect(familiesWith(podAt('fd00::5'), false, { ...CLAIMS, ip: 'fd00::5' })).toBe('IPv6');
});

test('without a pod to go by, what it says counts where it is believed', () => {
  expect(familiesWith(undefined, true)).toBe('both');
  expect(familiesWith(undefined, false)).toBeUndefined();
});
