// SPDX-License-Identifier: Apache-2.0
import pino from 'pino';
import { expect, test } from 'vitest';
import { RegistryReports, type RegistryStatus } from './registry-reports.ts';

const N2: RegistryStatus = {
  cluster: 'n2',
  secret: 'n2-secret',
  secretUid: 'u',
  server: 'https://n2:6443',
  state: 'stale',
  ageSeconds: 0,
  knownAt: '2026-01-01T03:00:00Z',
  services: 7,
  pods: 6,
  endpointSlices: 6,
};

test('a trouble is logged once while it stands, and at once when its cause is another', () => {
  const lines: string[] = [];
  let nowMs = 0;
  const write = (line: string) => lines.push((JSON.parse(line) as { msg: string }).msg);
  const reports = new RegistryReports({ log: pino({}, { write }), trouble: () => {}, nowMs: () => nowMs });
  const take = (atMs: number, problem: string | undefined) => {
    nowMs = atMs;
    reports.take([{ ...N2, ageSeconds: atMs / 1000, ...(problem === undefined ? {} : { problem }) }], []);
  };
  take(0, 'no answer');
  take(20_000, 'no answer');
  expect(lines).toEqual([
    'cluster n2 (secret n2-secret) cannot be watched: no answer; what was known of it at 2026-01-01T03:00:00Z stays in ' +
      'force (7 services, 6 pods)',
  ]);
  take(25_000, 'Unauthorized');
  expect(lines).toHaveLength(2);
  expect(lines[1]).toContain('Unauthorized');
  take(30_000, 'no answer');
  expect(lines).toHaveLength(2);
  take(40_000, undefined);
  expect(lines.at(-1)).toBe('this trouble with another cluster is over');
});

test('of a cluster that leaves nothing is said to stay', () => {
  const told: string[] = [];
  const log = pino({ level: 'silent' });
  const reports = new RegistryReports({ log, trouble: ({ message }) => told.push(message), nowMs: () => 0 });
  const { knownAt: _, ageSeconds: __, ...unknown } = N2;
  reports.take([{ ...unknown, state: 'leaving', problem: 'Unauthorized', cure: 'none' }], []);
  expect(told).toEqual([
    'cluster n2 (secret n2-secret) cannot be watched: Unauthorized; its secret is gone, and it leaves the mesh; none',
  ]);
});
