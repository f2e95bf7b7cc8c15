// SPDX-License-Identifier: Apache-2.0
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { MeshStore } from '../model/store.ts';
import type { SourceEvent } from '../sources/contract.ts';
import { MeshEngine } from './mesh-engine.ts';
import { Turns } from './turns.ts';

const SETTINGS = { trustDomain: 'cluster.local', dnsDomain: 'cluster.local', rootNamespace: 'istio-system' };
const SYNCED: SourceEvent = { kind: 'synced', cluster: 'c1' };
const COUNT = 2_000;

/** Service, ServiceEntry, DestinationRule, VirtualService and a stray one by turns, and what is wrong with some of them. */
function event(i: number): SourceEvent {
  const metadata = { namespace: `ns-${i % 7}`, name: `n-${i}` };
  const host = `n-${i - (i % 5)}.example`;
  const rule = (kind: string, spec: object) => ({ apiVersion: 'networking.istio.io/v1', kind, metadata, spec });
  const ports = [{ number: 80, name: 'http', protocol: 'HTTP' }];
  const object = [
    rule('ServiceEntry', { hosts: [host], resolution: 'STATIC', ports, endpoints: [{ address: '10.0.0.1' }] }),
    rule('DestinationRule', { host, subsets: [{ name: 'v1', labels: { version: 'v1' } }] }),
    rule('VirtualService', { hosts: [host], http: [{ route: [{ destination: { host, subset: `v${i % 3}` } }] }] }),
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] },
    },
    rule('VirtualService', { hosts: [host], http: [{ route: [], timeout: 'soon' }] }),
  ][i % 5]!;
  return { kind: 'upsert', cluster: 'c1', object };
}

const HUGE = Array.from({ length: COUNT }, (_, i) => event(i));

function start(awaited: readonly string[] = []) {
  let nowMs = 0;
  const told: string[] = [];
  const store = new MeshStore({ ...SETTINGS, configCluster: 'c1' });
  const engine = new MeshEngine({
    store,
    compile: () => ({ desired: new Map(), secrets: [], origins: () => [] }),
    clusters: ['c1'],
    awaited,
    onSynced: () => told.push('synced'),
    turns: new Turns(() => nowMs++),
  });
  engine.subscribe(() => told.push(`${engine.snapshot.index.services.size} services`));
  return { engine, told, source: engine.listener('test') };
}

test('a huge batch leaves others their turn, and is seen as a whole', async () => {
  const { engine, told, source } = start();
  source.events([...HUGE, SYNCED]);
  const [gone] = HUGE as [Extract<SourceEvent, { kind: 'upsert' }>];
  source.events([{ kind: 'delete', cluster: 'c1', object: gone.object }]);
  engine.afterwards(() => told.push('afterwards'));
  const seen = new Set<number>();
  let turns = 0;
  for (; !told.includes('afterwards'); turns++) {
    seen.add(engine.snapshot.index.services.size);
    expect(engine.isSynced).toBe(engine.snapshot.revision > 0);
    await nextTurn();
  }
  expect(turns).toBeGreaterThan(COUNT / 256);
  const services = (2 * COUNT) / 5;
  expect([...seen]).toEqual([0, services]);
  expect(told).toEqual(['synced', `${services} services`, `${services - 1} services`, 'afterwards']);

  const atOnce = new MeshStore({ ...SETTINGS, configCluster: 'c1' });
  atOnce.apply([...HUGE, SYNCED]);
  const { snapshot, diagnostics } = atOnce.apply([{ kind: 'delete', cluster: 'c1', object: gone.object }]);
  expect(engine.diagnostics).toEqual(diagnostics);
  expect(diagnostics.length).toBeGreaterThan(COUNT / 5);
  const shown = ({ index, endpoints }: typeof snapshot) => [
    ...index.virtualServices,
    ...index.destinationRules,
    ...[...index.services.values()].sort((a, b) => (a.key < b.key ? -1 : 1)),
    Object.fromEntries(endpoints),
  ];
  expect(shown(engine.snapshot)).toEqual(shown(snapshot));
});

test('what came before the last that is awaited is told of then', () => {
  const { engine, told, source } = start(['names']);
  source.events([event(0), SYNCED]);
  expect(told).toEqual([]);
  engine.arrived('names');
  expect(told).toEqual(['synced', '1 services']);
});

test('what is small is in the snapshot when the call returns', () => {
  const { engine, told, source } = start();
  source.events([event(0), SYNCED]);
  expect(engine.snapshot.index.services.size).toBe(1);
  expect(told).toEqual(['synced', '1 services']);
});
