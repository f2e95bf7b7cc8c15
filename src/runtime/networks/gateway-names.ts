// SPDX-License-Identifier: Apache-2.0
import type { Logger } from 'pino';
import { NameFollower } from './name-follower.ts';

export interface GatewayNamesOptions {
  /** The addresses of all names that have any. */
  readonly answer: (addresses: ReadonlyMap<string, readonly string[]>) => void;
  /** Told each time that a name does not resolve. */
  readonly trouble: (message: string, name: string) => void;
  readonly log: Logger;
}

/** Follows the names of gateways to other networks, and says once of each when it resolves no more, and when again. */
export function followGatewayNames({ answer, trouble, log }: GatewayNamesOptions): NameFollower {
  const said = new Set<string>();
  return new NameFollower({
    changed: answer,
    failed: (name, { message }, known) => {
      const force = known.length > 0 ? `it keeps ${known.join(', ')}` : 'nothing goes by it';
      const text = `the gateway name ${name} does not resolve (${message}): ${force}`;
      if (!said.has(name)) log.warn({ name }, text);
      said.add(name);
      trouble(text, name);
    },
    mended: (name) => {
      said.delete(name);
      log.info({ name }, 'the gateway name resolves again');
    },
  });
}
