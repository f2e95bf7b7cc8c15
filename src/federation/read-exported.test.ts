// SPDX-License-Identifier: Apache-2.0
// What a peer may not tell: what would lead callers here elsewhere, or cost more than it is.
import { describe, expect, test } from 'vitest';
import { exportedObject } from './derived-objects.ts';
import { readExported } from './read-exported.ts';

const GATEWAY = { address: '172.31.0.1', port: 15_443, network: '', locality: '' };
const SOUND = {
  cluster: 'c2',
  exportedAt: '2026-01-01T00:00:00Z',
  type: 'ClusterSetIP' as const,
  ports: [{ name: 'http', port: 80, protocol: 'HTTP' as const }],
  ready: 1,
  localities: [],
  subsets: [],
  gateways: [GATEWAY],
  subjectAltNames: [],
  traffic: undefined,
};

function read(change: Partial<typeof SOUND> | { readonly subsets: readonly object[] }): object {
  return readExported(exportedObject('shop/cart', { ...SOUND, ...change } as typeof SOUND), 'c2', 'cluster.local');
}

describe('what a peer tells', () => {
  test.each(['172.31.0.1', '10.1.2.3', '2001:db8::1', 'gateway.example.com', 'svc.cluster.local.example.com'])(
    '%s may be its gateway',
    (address) => {
      expect(read({ gateways: [{ ...GATEWAY, address }] })).toMatchObject({ cluster: 'c2' });
    },
  );

  test.each([
    'payments.prod.svc.cluster.local',
    'Payments.prod.SVC.cluster.local.',
    'localhost',
    '127.0.0.1',
    '::1',
    '::ffff:127.0.0.1',
    '0.0.0.0',
    '169.254.169.254',
    'fe80::1',
  ])('%s is no gateway of another cluster', (address) => {
    const { fault } = read({ gateways: [GATEWAY, { ...GATEWAY, address }] }) as { fault?: string };
    expect(fault).toContain(`spec.gateways[1].address: ${address}`);
  });

  test('a time that there is not decides nothing', () => {
    expect(read({ exportedAt: '2026-13-41T25:00:00Z' })).toEqual({
      fault: 'spec.exportedAt: 2026-13-41T25:00:00Z is no time',
    });
  });

  test('each gateway for each subset: one object cannot ask for millions of endpoints', () => {
    const gateways = Array.from({ length: 200 }, (_, i) => ({ ...GATEWAY, address: `10.0.0.${i}` }));
    const subsets = Array.from({ length: 50 }, (_, i) => ({ name: `v${i}`, labels: {}, ready: 1, localities: [] }));
    expect(read({ gateways, subsets: subsets.slice(1) })).toMatchObject({ cluster: 'c2' });
    expect(read({ gateways, subsets })).toEqual({
      fault: 'spec: 200 gateways and 50 subsets are 10200 endpoints, of at most 10000',
    });
  });
});
