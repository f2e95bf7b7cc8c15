// SPDX-License-Identifier: Apache-2.0

/**
 * Who has which domain in one route table. A table with one domain twice is refused whole: the most important of those
 * who claim a domain has it, and a full name is its owner's in any case.
 */
export class DomainClaims {
  readonly #compare: (a: string, b: string) => number;
  readonly #claims = new Map<string, readonly string[]>();
  readonly #claimants = new Map<string, Set<string>>();
  readonly #owners = new Map<string, string>();
  readonly #unsettled = new Set<string>();

  /** `compare`: hosts by their importance, as they are when it is called. */
  constructor(compare: (a: string, b: string) => number) {
    this.#compare = compare;
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
      const claimants = this.#claimants.get(domain);
      claimants?.delete(host);
      if (claimants?.size === 0) this.#claimants.delete(domain);
    }
    if (this.#claims.has(host) !== (domains !== undefined)) this.#unsettled.add(host);
    if (domains === undefined) this.#claims.delete(host);
    else this.#claims.set(host, domains);
    for (const domain of domains ?? []) {
      this.#unsettled.add(domain);
      const claimants = this.#claimants.get(domain) ?? new Set<string>();
      claimants.add(host);
      this.#claimants.set(domain, claimants);
    }
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
    let owner: string | undefined;
    for (const host of this.#claimants.get(domain) ?? []) {
      if (owner === undefined || this.#compare(host, owner) < 0) owner = host;
    }
    return owner;
  }
}
