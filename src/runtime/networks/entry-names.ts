// SPDX-License-Identifier: Apache-2.0
// Host names of other clusters' gateways in ServiceEntries. The proxies look them up themselves; here it is only noticed,
// and told, that one leads nowhere: a proxy has no way to say so.
import { isIP } from 'node:net';
import type { Logger } from 'pino';
import type { MeshIndex, MeshService } from '../../model/snapshot.ts';
import { isNoSuchName, NameFollower, type ResolveName } from './name-follower.ts';

export interface EntryNamesOptions {
  /** Told again and again while a name does not resolve. */
  readonly trouble: (message: string, name: string) => void;
  readonly log: Logger;
  readonly resolve?: ResolveName;
  readonly everyMs?: number;
}

/** Once is no news: a name that is new to the DNS may take a moment. */
const TIMES_IN_VAIN = 2;

export class EntryNames {
  readonly #follower: NameFollower;
  readonly #inVain = new Map<string, number>();
  #entries: ReadonlyMap<string, readonly string[]> = new Map();
  #services: MeshIndex['services'] | undefined;

  constructor({ trouble, log, resolve, everyMs }: EntryNamesOptions) {
    this.#follower = new NameFollower({
      ...(resolve && { resolve }),
      ...(everyMs !== undefined && { everyMs }),
      failed: (name, error) => {
        const times = (this.#inVain.get(name) ?? 0) + 1;
        this.#inVain.set(name, times);
        if (times < TIMES_IN_VAIN) return;
        const entries = this.#entries.get(name)?.join(', ');
        const text = `the endpoint ${name} of ${entries} does not resolve (${error.message}): ${consequence(error)}`;
        if (times === TIMES_IN_VAIN) log.warn({ name }, text);
        trouble(text, name);
      },
      mended: (name) => {
        if ((this.#inVain.get(name) ?? 0) >= TIMES_IN_VAIN) log.info({ name }, 'the endpoint’s name resolves again');
        this.#inVain.delete(name);
      },
    });
  }

  /** With each new state of the mesh. */
  take({ services }: Pick<MeshIndex, 'services'>): void {
    if (services === this.#services) return;
    this.#services = services;
    this.#entries = namesOfEntries(services.values());
    for (const name of this.#inVain.keys()) if (!this.#entries.has(name)) this.#inVain.delete(name);
    this.#follower.follow('ServiceEntries', [...this.#entries.keys()]);
  }

  /** Until `signal` aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void> {
    return this.#follower.run(signal);
  }
}

/** Envoy forgets a name's addresses when the DNS says that there are none, and keeps them when it says nothing. */
function consequence(error: Error): string {
  return isNoSuchName(error)
    ? 'requests that go there get 503'
    : 'proxies go on with the addresses that they have, new ones have none';
}

/** Host names that workloads of the mesh are behind -> the ServiceEntries that have them. */
function namesOfEntries(services: Iterable<MeshService>): Map<string, string[]> {
  const found = new Map<string, Set<string>>();
  for (const { registry, meshInternal, resolution, dnsEndpoints, origin } of services) {
    if (registry !== 'service-entry' || !meshInternal || !resolution.startsWith('dns')) continue;
    for (const { address } of dnsEndpoints) {
      if (isIP(address) !== 0) continue;
      const entries = found.get(address) ?? new Set();
      found.set(address, entries.add(`ServiceEntry ${origin.namespace}/${origin.name}`));
    }
  }
  return new Map([...found].map(([name, entries]) => [name, [...entries].sort()]));
}
