// SPDX-License-Identifier: Apache-2.0
import type { VirtualHostIntent } from '../intent/route-types.ts';

/**
 * The virtual hosts of a table by their domains, as Envoy looks them up: the name itself, the longest `*.suffix`, the longest
 * `prefix.*`, `*`. Ports do not matter.
 * https://www.envoyproxy.io/docs/envoy/latest/api-v3/config/route/v3/route_components.proto#config-route-v3-virtualhost
 */
export class DomainIndex {
  readonly #exact = new Map<string, VirtualHostIntent>();
  /** `*.suffix` as `.suffix`: looked up for each dot of a name. */
  readonly #below = new Map<string, VirtualHostIntent>();
  /** Other wildcards, longest first. */
  readonly #suffixes: (readonly [suffix: string, host: VirtualHostIntent])[] = [];
  readonly #prefixes: (readonly [prefix: string, host: VirtualHostIntent])[] = [];

  constructor(hosts: readonly VirtualHostIntent[]) {
    for (const host of hosts) {
      for (const raw of host.domains) {
        const domain = raw.toLowerCase();
        if (domain.startsWith('*.')) this.#below.set(domain.slice(1), host);
        else if (domain.startsWith('*')) this.#suffixes.push([domain.slice(1), host]);
        else if (domain.endsWith('*')) this.#prefixes.push([domain.slice(0, -1), host]);
        else this.#exact.set(domain, host);
      }
    }
    for (const list of [this.#suffixes, this.#prefixes]) list.sort(([a], [b]) => b.length - a.length);
  }

  /** `authority` as a request has it, with or without a port. */
  find(authority: string): VirtualHostIntent | undefined {
    const name = authority.toLowerCase().replace(/:\d+$/, '');
    return this.#exact.get(name) ?? longest([...this.#matches(name)]);
  }

  /** Hosts with a domain that another host's wildcard matches as well. */
  shadowable(): VirtualHostIntent[] {
    if (this.#below.size + this.#suffixes.length + this.#prefixes.length === 0) return [];
    const own: [string, VirtualHostIntent][] = [
      ...this.#exact,
      ...[...this.#below].map(([suffix, host]): [string, VirtualHostIntent] => [`*${suffix}`, host]),
      ...this.#suffixes.map(([suffix, host]): [string, VirtualHostIntent] => [`*${suffix}`, host]),
      ...this.#prefixes.map(([prefix, host]): [string, VirtualHostIntent] => [`${prefix}*`, host]),
    ];
    const shadowed = own.filter(([domain, host]) => this.#matches(domain).some((match) => match.host !== host));
    return [...new Set(shadowed.map(([, host]) => host))];
  }

  /** Wildcards that match a name, those of one kind by length. */
  #matches(name: string): Match[] {
    const found: Match[] = [];
    for (let dot = name.indexOf('.', 1); dot !== -1; dot = name.indexOf('.', dot + 1)) {
      const host = this.#below.get(name.slice(dot));
      if (host !== undefined) found.push({ isSuffix: true, length: name.length - dot, host });
    }
    for (const [suffix, host] of this.#suffixes) {
      if (name.length > suffix.length && name.endsWith(suffix)) {
        found.push({ isSuffix: true, length: suffix.length, host });
      }
    }
    for (const [prefix, host] of this.#prefixes) {
      if (name.length > prefix.length && name.startsWith(prefix)) {
        found.push({ isSuffix: false, length: prefix.length, host });
      }
    }
    return found;
  }
}

interface Match {
  readonly isSuffix: boolean;
  readonly length: number;
  readonly host: VirtualHostIntent;
}

/** A suffix goes before a prefix, and the bare `*`, a suffix of nothing, behind both. */
function longest(matches: readonly Match[]): VirtualHostIntent | undefined {
  const rank = ({ isSuffix, length }: Match): number => (length === 0 ? 0 : isSuffix ? 1000 + length : length);
  return matches.toSorted((a, b) => rank(b) - rank(a))[0]?.host;
}
