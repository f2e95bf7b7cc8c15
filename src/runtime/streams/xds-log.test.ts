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
  xdsLog.limited(error);
  nowMs += 59_000;
  xdsLog.limited(error);
  nowMs += 2_000;
  xdsLog.limited(error);
  expect(lines.map((line) => JSON.parse(line))).toEqual(
    Array(2).fill({ level: 40, reason: error.message, msg: 'a connection was refused' }),
  );
});

test('of the refusals of one proxy a few are logged, shortened, and those of others all the same', () => {
  const lines: string[] = [];
  const log: Logger = pino({ base: undefined, timestamp: false }, { write: (line: string) => lines.push(line) });
  let nowMs = 0;
  const refusals = new RefusalLog(log, () => nowMs);
  const refuse = (proxy: string) => {
    const message = 'no '.repeat(10_000);
    refusals.take({ proxy, typeUrl: 'type', resource: 'r', version: '1', message, blamed: [] });
  };
  for (let i = 0; i < 1_000; i++) refuse('hostile');
  refuse('other');
  expect(lines.map((line) => JSON.parse(line).proxy)).toEqual([...Array(20).fill('hostile'), 'other']);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(2_000);
  nowMs += 60_000;
  for (let i = 0; i < 1_000; i++) refusals.secrets('hostile', 'no');
  expect(lines).toHaveLength(21 + 12);
});
