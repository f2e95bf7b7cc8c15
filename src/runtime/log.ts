// SPDX-License-Identifier: Apache-2.0
import pino, { type Logger } from 'pino';
import { logOutput } from '../process/log-output.ts';

/** JSON lines on stdout; `time` as an ISO text, `level` as a word. */
export function createLog(component: string, level = 'info'): Logger {
  return pino(
    {
      level,
      base: { component },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    logOutput(),
  );
}
