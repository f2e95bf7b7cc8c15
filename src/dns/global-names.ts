// SPDX-License-Identifier: Apache-2.0
// Which addresses the ServiceEntries give to names. Reads raw objects: what the rest of a ServiceEntry says, and whether
// it is right, is not the DNS server's business.
import { isIP } from 'node:net';
import { allocatedOf, takesAddresses } from '../api/service-entry.ts';
import type { KubeObject } from '../kube/types.ts';

/** What a name leads to, by which ServiceEntry (`namespace/name`). */
export interface GlobalName {
  /** IPv4 first, then as the ServiceEntry lists them; empty: it gives none. */
  readonly addresses: readonly string[];
  readonly serviceEntry: string;
}

/** By name: lower case, no final dot; `*.` in front of a wildcard. */
export type GlobalNames = ReadonlyMap<string, GlobalName>;

export type NameLookup =
  | { readonly kind: 'addresses'; readonly addresses: readonly string[] }
  /** The name exists but has no address: it has only names below it, or its ServiceEntry gives none. */
  | { readonly kind: 'empty' }
  | { readonly kind: 'unknown' };

/** Names under `zones` from ServiceEntries. Where two claim one name, the older one's address holds, as in the mesh. */
export function collectNames(entries: Iterable<KubeObject>, zones: readonly string[]): GlobalNames {
  const names = new Map<string, GlobalName>();
  for (const entry of [...entries].sort(byAge)) {
    const { hosts, addresses: listed, resolution } = (entry['spec'] ?? {}) as Readonly<Record<string, unknown>>;
    const { namespace = '', name: entryName = '' } = entry.metadata;
    const given = textsOf(listed);
    const written = given
      .map(singleAddress)
      .filter((text) => isIP(text) !== 0)
      .sort(byFamily);
    const takes = takesAddresses(entry, {
      addresses: given,
      resolution: resolution === undefined ? 'NONE' : `${resolution}`,
    });
    const found = takes ? allocatedOf(entry) : {};
    for (const host of textsOf(hosts)) {
      const name = normalizeName(host);
      if (!zones.some((zone) => isUnder(name, zone))) continue;
      const addresses = takes ? (found[name] ?? []).toSorted(byFamily) : written;
      const known = names.get(name);
      if (known === undefined || known.addresses.length === 0)
        names.set(name, { addresses, serviceEntry: `${namespace}/${entryName}` });
    }
  }
  return names;
}

/** RFC 4592: the closest wildcard answers only where no name exists at or below the one asked for. */
export function lookUp(names: GlobalNames, name: string): NameLookup {
  const exact = names.get(name);
  if (exact !== undefined) return lookedUp(exact);
  for (const known of names.keys()) if (known.endsWith(`.${name}`)) return { kind: 'empty' };
  const labels = name.split('.');
  for (let i = 1; i < labels.length; i++) {
    const wildcard = names.get(`*.${labels.slice(i).join('.')}`);
    if (wildcard !== undefined) return lookedUp(wildcard);
  }
  return { kind: 'unknown' };
}

function lookedUp({ addresses }: GlobalName): NameLookup {
  return addresses.length === 0 ? { kind: 'empty' } : { kind: 'addresses', addresses };
}

export function normalizeName(name: string): string {
  return name.toLowerCase().replace(/\.$/, '');
}

export function isUnder(name: string, zone: string): boolean {
  return name === zone || name.endsWith(`.${zone}`);
}

/** `10.0.0.1/32` is an address as well; a wider range is none. */
function singleAddress(text: string): string {
  return text.replace(text.includes(':') ? /\/128$/ : /\/32$/, '');
}

/** IPv4 first: those who take the first of them have it, as a rule. */
function byFamily(a: string, b: string): number {
  return isIP(a) - isIP(b);
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function byAge(a: KubeObject, b: KubeObject): number {
  const key = ({ metadata: { creationTimestamp = '', namespace = '', name = '' } }: KubeObject) =>
    `${creationTimestamp}\0${namespace}\0${name}`;
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0;
}
