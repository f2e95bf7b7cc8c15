// SPDX-License-Identifier: Apache-2.0
import { type Logger, pino } from 'pino';
import { expect, test } from 'vitest';
import { XdsLog } from './xds-log.ts';

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
