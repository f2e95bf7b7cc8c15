// SPDX-License-Identifier: Apache-2.0
import { pino } from 'pino';
import { expect, test, vi } from 'vitest';
import type { KubeObject } from '../../kube/types.ts';
import { MeshStore } from '../../model/store.ts';
import { EntryAddresses } from './entry-addresses.ts';

const ENTRY: KubeObject = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'ServiceEntry',
  metadata: { name: 'db', namespace: 'default' },
  spec: {
    hosts: ['db.example.com'],
    ports: [{ number: 5432, name: 'tcp', protocol: 'TCP' }],
    resolution: 'DNS',
  },
};

function scene(patch: (name: string, body: unknown) => Promise<void>) {
  const store = new MeshStore({
    trustDomain: 'cluster.local',
    dnsDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    configCluster: 'cluster1',
  });
  const client = { patch: (_: unknown, name: string, __: unknown, body: object) => patch(name, body) };
  const addresses = new EntryAddresses({ client: client as never, log: pino({ level: 'silent' }), retryMs: 1 });
  const put = (object: KubeObject) => {
    const { snapshot } = store.apply([{ kind: 'upsert', cluster: 'cluster1', object }]);
    addresses.take(snapshot);
  };
  return { addresses, put };
}

test('only the replica that writes statuses writes, and once', async () => {
  const written: unknown[] = [];
  const { addresses, put } = scene(async (name, body) => void written.push([name, body]));
  put(ENTRY);
  expect(written).toEqual([]);
  addresses.lead(true);
  await vi.waitFor(() => expect(written).toHaveLength(1), 10_000);
  const [[name, { status }]] = written as [[string, { status: { addresses: { host: string; value: string }[] } }]];
  expect(name).toBe('db');
  expect(status.addresses[0]).toEqual({ host: 'db.example.com', value: expect.stringMatching(/^240\.240\./) });
  put({ ...ENTRY, status });
  put({ ...ENTRY, metadata: { ...ENTRY.metadata, labels: { some: 'label' } }, status });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(written).toHaveLength(1);
  addresses.close();
});

test('what could not be written is tried again', async () => {
  let failures = 2;
  const written: string[] = [];
  const { addresses, put } = scene(async (name) => {
    if (failures-- > 0) throw new Error('the API server is away');
    written.push(name);
  });
  addresses.lead(true);
  put(ENTRY);
  await vi.waitFor(() => expect(written).toEqual(['db']), 10_000);
  addresses.close();
});
