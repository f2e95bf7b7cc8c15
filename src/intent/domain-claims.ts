// SPDX-License-Identifier: Apache-2.0

/**
 * Who has which domain in one route table. A table with one domain twice is refused whole: the most important of those
 * who claim a domain has it, and a full name is its owner's in any case.
 */
export class DomainClaims {
  readonly #compare: (a: string, b: string) => number;
  readonly #claims: Map<string, readonly string[]>;
  /** Nearly always one, who then stands here himself. */
  readonly #claimants: Map<string, string | Set<string>>;
  readonly #owners: Map<string, string>;
  readonly #unsettled = new Set<string>();

  /** `compare`: hosts by their importance, as they are when it is called. `from`: those whose claims to begin with, all settled. */
  constructor(compare: (a: string, b: string) => number, from?: DomainClaims) {
    this.#compare = compare;
    this.#claims = new Map(from === undefined ? [] : from.#claims);
    this.#claimants = new Map(from === undefined ? [] : from.#claimants);
    this.#owners = new Map(from === undefined ? [] : from.#owners);
    for (const [domain, by] of this.#claimants) if (by instanceof Set) this.#claimants.set(domain, new Set(by));
  }

  get size(): number {
    return this.#claims.size;
  }

  has(host: string): boolean {
    return this.#claims.has(host);
  }

  /** What the host claims besides its own name, also when only its importance has changed; undefined: nothing at all. */
  set(host: string, domains: readonly string[] | undefined): void {
    for (const domain of this.#claims.get(host) ?? []) {
      this.#unsettled.add(domain);
      this.#unclaim(domain, host);
    }
    if (this.#claims.has(host) !== (domains !== undefined)) this.#unsettled.add(host);
    if (domains === undefined) this.#claims.delete(host);
    else this.#claims.set(host, domains);
    for (const domain of domains ?? []) {
      this.#unsettled.add(domain);
      this.#claim(domain, host);
    }
  }

  #claim(domain: string, host: string): void {
    const known = this.#claimants.get(domain);
    if (known === undefined || known === host) this.#claimants.set(domain, host);
    else if (known instanceof Set) known.add(host);
    else this.#claimants.set(domain, new Set([known, host]));
  }

  #unclaim(domain: string, host: string): void {
    const known = this.#claimants.get(domain);
    if (known === host) this.#claimants.delete(domain);
    else if (known instanceof Set && known.delete(host) && known.size === 0) this.#claimants.delete(domain);
  }

  /** Gives each domain to its owner; returns the hosts that have gained or lost one, and the domains themselves. */
  settle(): Set<string> {
    const concerned = new Set<string>();
    for (const domain of this.#unsettled) {
      const [before, after] = [this.#owners.get(domain), this.#choose(domain)];
      if (before === after) continue;
      if (after === undefined) this.#owners.delete(domain);
      else this.#owners.set(domain, after);
      for (const host of [domain, before, after]) if (host !== undefined) concerned.add(host);
    }
    this.#unsettled.clear();
    return concerned;
  }

  ownerOf(domain: string): string | undefined {
    return this.#owners.get(domain);
  }

  /** The host's own name, and what else is its. */
  domainsOf(host: string): string[] {
    return [host, ...(this.#claims.get(host) ?? []).filter((domain) => this.#owners.get(domain) === host)];
  }

  #choose(domain: string): string | undefined {
    if (this.#claims.has(domain)) return domain;
    const claimants = this.#claimants.get(domain);
    if (!(claimants instanceof Set)) return claimants;
    let owner: string | undefined;
    for (const host of claimants) {
      if (owner === undefined || this.#compare(host, owner) < 0) owner = host;
    }
    return owner;
  }
}
