// SPDX-License-Identifier: Apache-2.0
import pino, { type DestinationStream } from 'pino';

/** What waits for room meanwhile; beyond it lines are lost. */
const MAX_WAITING_BYTES = 1024 * 1024;

/**
 * Standard output for a log. pino's own ends the process when a line cannot be written, and a full disk must not end what
 * only wanted to say something: lines wait for room, and are lost when there are too many of them.
 */
export function logOutput(): DestinationStream {
  const output = pino.destination({ fd: 1, sync: true, maxLength: MAX_WAITING_BYTES });
  output.on('error', () => {});
  return output;
}
