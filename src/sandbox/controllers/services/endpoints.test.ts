// SPDX-License-Identifier: Apache-2.0
import { describe, expect, it } from 'vitest';
import type { EndpointAddress, Pod, Service } from '../objects.ts';
import { buildSubsets, truncate } from './endpoints.ts';

const service = (spec: Partial<Service['spec']> = {}): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's', namespace: 'default' },
  spec: { ports: [{ port: 80 }], ...spec },
});
const pod = (name: string, ip: string, isReady: boolean, more = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: name, ...more },
  spec: { containers: [] },
  status: { podIP: ip, conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
});

describe('Endpoints', () => {
  it('leave out pods that are being deleted, unless the Service publishes what is not ready', () => {
    const leaving = pod('p', '10.0.0.1', true, { deletionTimestamp: '2024-01-01T00:00:00Z' });
    expect(buildSubsets(service(), [leaving])).toEqual([]);
    const [subset] = buildSubsets(service({ publishNotReadyAddresses: true }), [leaving]);
    expect(subset?.addresses).toMatchObject([{ ip: '10.0.0.1' }]);
  });

  it('hold a thousand addresses, those that are ready first', () => {
    const addresses = (count: number, net: number): EndpointAddress[] =>
      Array.from({ length: count }, (_, index) => ({ ip: `10.${net}.${index >> 8}.${index & 255}` }));
    const few = [{ addresses: addresses(1_000, 1) }];
    expect(truncate(few)).toBe(few);
    const [first, second] = truncate([
      { addresses: addresses(300, 1), notReadyAddresses: addresses(500, 2), ports: [{ port: 1 }] },
      { addresses: addresses(600, 3), notReadyAddresses: addresses(500, 4), ports: [{ port: 2 }] },
    ]);
    expect([first, second].map((each) => [each?.addresses?.length, each?.notReadyAddresses?.length])).toEqual([
      [300, 100],
      [600, undefined],
    ]);
  });
});
