// SPDX-License-Identifier: Apache-2.0
// Whose a line of a saved log is.
import { UserError } from '../user-error.ts';
import type { Logger } from './callers.ts';
import { addressOf } from './judge.ts';

/** As `kubectl logs --prefix` writes it. */
const PREFIX = /^\[pod\/([^/\]]+)\/[^\]]+\] /;
/** What a Deployment adds to its name for a pod’s. */
const GENERATED = /-[a-z0-9]{6,10}-[a-z0-9]{5}$/;

export type WhoseLine = (line: string) => { logger: Logger | undefined; line: string };

/**
 * By the line’s prefix, else `from` (a pod or a workload, with or without `.NAMESPACE`), else by the address that the line
 * says who asked. A pod that is gone is judged by another of its workload.
 * @throws UserError when there is no `from`
 */
export function whoseLines(loggers: readonly Logger[], from: string | undefined): WhoseLine {
  const byAddress = new Map(loggers.flatMap((logger) => [...logger.addresses].map((each) => [each, logger] as const)));
  const readers = [...new Map(loggers.map((logger) => [JSON.stringify([...logger.reader.headers]), logger])).values()];
  const named = new Map<string, Logger | undefined>();
  const find = (name: string): Logger | undefined => {
    if (!named.has(name)) named.set(name, findLogger(loggers, name));
    return named.get(name);
  };
  const said = from === undefined ? undefined : find(from);
  if (from !== undefined && said === undefined) {
    const known = [...new Set(loggers.map(({ caller }) => caller.workload))].sort();
    throw new UserError(`--from ${from}: no such pod or workload has a proxy (there are: ${known.join(', ')})`, 2);
  }
  return (written) => {
    const prefix = PREFIX.exec(written);
    const line = prefix === null ? written : written.slice(prefix[0].length);
    if (prefix !== null) return { logger: find(prefix[1]!), line };
    if (said !== undefined) return { logger: said, line };
    for (const { reader } of readers) {
      const read = reader.read(line);
      if (read === undefined || read === 'connection') continue;
      const asker = byAddress.get(addressOf(read.remoteAddress)?.address ?? '');
      return { logger: asker ?? byAddress.get(addressOf(read.localAddress)?.address ?? ''), line };
    }
    return { logger: undefined, line: '' };
  };
}

function findLogger(loggers: readonly Logger[], name: string): Logger | undefined {
  const dot = name.lastIndexOf('.');
  const [plain, namespace] = dot < 1 ? [name, undefined] : [name.slice(0, dot), name.slice(dot + 1)];
  const fits = (wanted: string, of: string | undefined) => (logger: Logger) =>
    (logger.pod === wanted || logger.caller.workload === wanted) && (of === undefined || logger.namespace === of);
  return (
    loggers.find(fits(name, undefined)) ??
    loggers.find(fits(plain, namespace)) ??
    loggers.find(fits(name.replace(GENERATED, ''), undefined))
  );
}
