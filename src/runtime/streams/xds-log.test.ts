// SPDX-License-Identifier: Apache-2.0
import { type Logger, pino } from 'pino';
import { expect, test } from 'vitest';
import { RefusalLog, XdsLog } from './xds-log.ts';

test('a connection that a limit refused is told of, once a minute', () => {
  const lines: string[] = [];
  const log: Logger = pino({ base: undefined, timestamp: false }, { write: (line: string) => lines.push(line) });
  let nowMs = 0;
  const xdsLog = new XdsLog(log, () => nowMs);
  const error = new Error('192.0.2.1 has 4000 connections already and gets no more');
  xdsLog.failed(error, 'limit');
  nowMs += 59_000;
  xdsLog.failed(error, 'limit');
  nowMs += 2_000;
  xdsLog.failed(error, 'limit');
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    Array(2).fill({ level: 40, reason: error.message, msg: 'a connection was refused' }),
  );
});

test('of the refusals of one pod a few are logged, shortened, whatever it calls its nodes; those of others all the same', () => {
  const lines: string[] = [];
  const log: Logger = pino({ base: undefined, timestamp: false }, { write: (line: string) => lines.push(line) });
  let nowMs = 0;
  const refusals = new RefusalLog(log, () => nowMs);
  const refuse = (client: string, proxy: string) => {
    const message = 'no '.repeat(10_000);
    refusals.take({ client, proxy, typeUrl: 'type', resource: 'r', version: '1', message, blamed: [] });
  };
  for (let i = 0; i < 1_000; i++) refuse('hostile', `made-up-${i}`);
  refuse('other', 'its-own');
  const made = Array.from({ length: 20 }, (_, i) => `made-up-${i}`);
  expect(lines.map((line) => JSON.parse(line).proxy)).toEqual([...made, 'its-own']);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(2_000);
  nowMs += 60_000;
  for (let i = 0; i < 1_000; i++) refusals.secrets({ client: 'hostile', proxy: `${i}`, message: 'no' });
  expect(lines).toHaveLength(21 + 12);
});

test('a pod that makes up a node for each response that it refuses has a few lines', () => {
  const lines: string[] = [];
  const log: Logger = pino({ base: undefined, timestamp: false }, { write: (line: string) => lines.push(line) });
  const xdsLog = new XdsLog(log, () => 0);
  const refuse = (id: string, podUid: string) => {
    const whose = { trustDomain: 't', clusterName: 'c1', namespace: 'n', serviceAccount: 's', podName: '', podUid };
    const peer = { ...whose, expiresAtMs: Number.POSITIVE_INFINITY };
    const node = { id, cluster: '', metadata: {}, userAgentVersion: '' };
    const info = { service: 'ads', variant: 'delta', connectedAtMs: 0, mutualTls: true } as const;
    const received = { kind: 'isolating', typeUrl: 'type', message: 'no' } as const;
    xdsLog.take({ kind: 'received', stream: { ...info, peer, node }, received });
  };
  for (let i = 0; i < 100; i++) refuse(`made-up-${i}`, 'hostile');
  refuse('its-own', 'other');
  // Where nobody is proven, on loopback, a proxy is what it says.
  refuse('one', '');
  refuse('two', '');
  expect(lines.map((line) => JSON.parse(line).proxy).slice(20)).toEqual(['its-own', 'one', 'two']);
});
