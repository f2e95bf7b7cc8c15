// SPDX-License-Identifier: Apache-2.0
import { expect, test } from 'vitest';
import type { KubeObject } from '../../../kube/types.ts';
import { MemoryObjects } from '../memory-objects.fixture.ts';
import { targetOfService } from './proxy-target.ts';

const SERVICE: KubeObject = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'shop' },
  spec: { ports: [{ port: 80 }] },
} as KubeObject;

function targetAt(address: string) {
  const objects = new MemoryObjects();
  objects.create({ group: 'discovery.k8s.io', resource: 'endpointslices' }, {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web-1', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'web' } },
    endpoints: [{ addresses: [address] }],
    ports: [{ name: '', port: 8080 }],
  } as KubeObject);
  return targetOfService(SERVICE, { scheme: '', name: 'web', port: '' }, objects, () => 0);
}

test('a service leads to its endpoints', () => {
  expect(targetAt('10.1.0.7')).toEqual({ kind: 'plain', host: '10.1.0.7', port: 8080 });
});

test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', '0.0.0.0', 'localhost', 'metadata.example.com'])(
  'but never to %s, which is this machine or may be',
  (address) => {
    expect(() => targetAt(address)).toThrow('address not allowed');
  },
);
