// SPDX-License-Identifier: Apache-2.0
// Looks names up again and again, and tells what their addresses are. A name that does not resolve for a while keeps the
// addresses that it had: a DNS server that is away must take no gateway down.
import { lookup, Resolver } from 'node:dns/promises';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** The IP addresses of a name, at least one; rejects with the reason where there is none. `known`: what it was told last. */
export type ResolveName = (name: string, known: readonly string[]) => Promise<readonly string[]>;

export interface NameFollowerOptions {
  readonly resolve?: ResolveName;
  readonly everyMs?: number;
  /** Told whenever an address comes or goes: all names that have any, each with its addresses, sorted. */
  readonly changed?: (answers: ReadonlyMap<string, readonly string[]>) => void;
  /** Told each time that a name is looked up in vain; `known`: the addresses that it keeps. */
  readonly failed: (name: string, error: Error, known: readonly string[]) => void;
  /** Told when a name resolves after it did not. */
  readonly mended?: (name: string) => void;
}

const EVERY_MS = 5_000;

export class NameFollower {
  readonly #options: NameFollowerOptions;
  readonly #wanted = new Map<string, ReadonlySet<string>>();
  readonly #answers = new Map<string, readonly string[]>();
  readonly #failing = new Set<string>();
  /** Names that have been asked for at least once, with or without success. */
  readonly #asked = new Set<string>();
  readonly #underWay = new Map<string, Promise<void>>();
  #running = false;

  constructor(options: NameFollowerOptions) {
    this.#options = options;
  }

  /** From now on `owner` wants these names, and no others; new ones are looked up at once. */
  follow(owner: string, names: readonly string[]): void {
    this.#wanted.set(owner, new Set(names));
    const all = this.#names();
    const gone = [...this.#answers.keys()].filter((name) => !all.has(name));
    for (const name of gone) this.#answers.delete(name);
    for (const set of [this.#failing, this.#asked]) for (const name of set) if (!all.has(name)) set.delete(name);
    if (gone.length > 0) this.#tell();
    if (this.#running) for (const name of names) if (!this.#asked.has(name)) void this.#ask(name);
  }

  /** Looks up what is wanted until `signal` aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    this.#running = true;
    while (!signal.aborted) {
      // One that is slow to answer holds up no other.
      for (const name of this.#names()) void this.#ask(name);
      await sleep(this.#options.everyMs ?? EVERY_MS, undefined, { signal }).catch(() => {});
    }
    this.#running = false;
  }

  /** Once everything that is wanted now has been looked up once, or after `limitMs`. Only while `run` runs. */
  async settled(limitMs: number): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, limitMs);
    const asked = [...this.#names()].filter((name) => !this.#asked.has(name)).map((name) => this.#ask(name));
    await Promise.race([Promise.all(asked), late]);
    clearTimeout(timer);
  }

  #names(): Set<string> {
    return new Set([...this.#wanted.values()].flatMap((names) => [...names]));
  }

  /** One look-up of a name at a time. */
  #ask(name: string): Promise<void> {
    const current = this.#underWay.get(name);
    if (current !== undefined) return current;
    const asking = this.#lookUp(name).finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, asking);
    return asking;
  }

  async #lookUp(name: string): Promise<void> {
    const { resolve = resolveName, failed, mended } = this.#options;
    const answer = await resolve(name, this.#answers.get(name) ?? []).then(
      (addresses) => (addresses.length > 0 ? [...new Set(addresses)].sort() : new Error('it has no address')),
      (error: Error) => error,
    );
    if (!this.#names().has(name)) return;
    this.#asked.add(name);
    if (answer instanceof Error) {
      this.#failing.add(name);
      failed(name, answer, this.#answers.get(name) ?? []);
      return;
    }
    if (this.#failing.delete(name)) mended?.(name);
    if (answer.join() === this.#answers.get(name)?.join()) return;
    this.#answers.set(name, answer);
    this.#tell();
  }

  #tell(): void {
    this.#options.changed?.(new Map([...this.#answers].sort(([a], [b]) => (a < b ? -1 : 1))));
  }
}

const NO_SUCH_NAME: ReadonlySet<unknown> = new Set(['ENOTFOUND', 'ENODATA']);

/** The DNS has answered that there is none, rather than not answered. */
export function isNoSuchName(error: unknown): boolean {
  return NO_SUCH_NAME.has((error as { code?: unknown }).code);
}

/**
 * By DNS, of both families; a name that the DNS does not know may stand in /etc/hosts. Not by `lookup` alone: each of its
 * questions keeps a thread, of which there are four, for as long as a DNS server that is away lets it wait.
 */
export async function resolveName(
  name: string,
  known: readonly string[],
  dns: Pick<Resolver, 'resolve4' | 'resolve6'> = new Resolver({ timeout: 2_000, tries: 2 }),
): Promise<readonly string[]> {
  const families = [4, 6];
  const answers = await Promise.allSettled([dns.resolve4(name), dns.resolve6(name)]);
  // A question that nobody answered says nothing of its family: what is known of that stays. Some servers never answer for IPv6.
  const addresses = answers.flatMap((answer, i) => {
    if (answer.status === 'fulfilled') return answer.value;
    return isNoSuchName(answer.reason) ? [] : known.filter((address) => isIP(address) === families[i]);
  });
  const faults = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Error] : []));
  if (faults.length < families.length) return addresses;
  const fault = faults.find((each) => !isNoSuchName(each));
  if (fault !== undefined) throw fault;
  const found = await lookup(name, { all: true }).catch(() => []);
  if (found.length === 0) throw faults[0];
  return found.map(({ address }) => address);
}
