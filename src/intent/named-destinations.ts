// SPDX-License-Identifier: Apache-2.0
// Which of all destinations the routes and listeners of a sidecar name. A service whose requests all go to its subsets, say,
// has one destination that nothing leads to.
import { keysToCompare } from '../incremental/derived-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import { SelectedMap } from '../incremental/selected-map.ts';
import { VersionedMap } from '../incremental/versioned-map.ts';
import { destinationKey } from './destination-state.ts';
import type { DestinationIntent, DestinationRef } from './destination-types.ts';
import { refsOf } from './route-refs.ts';
import type { VirtualHostIntent } from './route-types.ts';
import type { OutboundHttpPortIntent, OutboundIntent, ProxyIntent, TcpChainIntent, TcpPortIntent } from './types.ts';

/** Keys of destinations, each as often as it is there. */
type DestinationKeys = ReadonlyMap<string, true>;

const NONE: ReadonlyMap<string, true> = new Map();

/** How many sets of names are looked through for one that is like a new one. */
const RECENT = 8;

/** What sidecars have in common that see the mesh from several namespaces: sets of names that come out alike are one object. */
export class DestinationNames {
  readonly #keys = new WeakMap<VirtualHostIntent, readonly string[]>();
  readonly #selected = new LineageMemo<LineageMemo<SelectedMap<DestinationIntent>>>();
  #recent: VersionedMap<string, true>[] = [];

  keysOf(host: VirtualHostIntent): readonly string[] {
    const known = this.#keys.get(host) ?? refsOf(host.routes).map(keyOf);
    this.#keys.set(host, known);
    return known;
  }

  /**
   * The set after these changes, each of which is one. Always the latest version of a map: what is made of two versions by turns
   * would be made anew each time.
   */
  after(last: VersionedMap<string, true>, changes: ReadonlyMap<string, true | undefined>): VersionedMap<string, true> {
    if (changes.size === 0 && last.isLatest) return last;
    this.#recent = this.#recent.filter((names) => names.isLatest);
    const known = this.#recent.find((names) => isAfter(names, last, changes));
    if (known !== undefined) return known;
    // Others had the same set, and theirs is another now.
    const made = changes.size === 0 ? last.copy() : last.with(changes);
    this.#recent = [made, ...this.#recent.slice(0, RECENT - 1)];
    return made;
  }

  /** Those of all destinations that are named. */
  select(all: ProxyIntent['destinations'], names: DestinationKeys): ProxyIntent['destinations'] {
    const selected = this.#selected.get(all, '', () => new LineageMemo()).get(names, '', () => new SelectedMap());
    return selected.of(all, names);
  }
}

function isAfter(
  names: VersionedMap<string, true>,
  last: VersionedMap<string, true>,
  changes: ReadonlyMap<string, true | undefined>,
): boolean {
  let size = last.size;
  for (const isNamed of changes.values()) size += isNamed ? 1 : -1;
  if (names.size !== size) return false;
  const isWanted = (key: string) => (changes.has(key) ? changes.get(key) : last.get(key));
  const others = names.changesSince(last) ?? last;
  return [changes, others].every((keys) => keys.keys().every((key) => names.get(key) === isWanted(key)));
}

/** The names in what sidecars of one view do with outgoing connections, counted, so that a change costs what it concerns. */
export class NamedDestinations {
  readonly #shared: DestinationNames;
  readonly #counts = new Map<string, number>();
  #of: OutboundIntent | undefined;
  #names = new VersionedMap<string, true>();

  /** `collectors`: what telemetry is told to, whatever the routes are. */
  constructor(shared: DestinationNames, collectors: readonly DestinationRef[]) {
    this.#shared = shared;
    for (const ref of collectors) this.#count([keyOf(ref)], 1, new Set());
    this.#names = shared.after(this.#names, new Map([...this.#counts.keys()].map((key) => [key, true])));
  }

  of(outbound: OutboundIntent): DestinationKeys {
    const before = this.#of;
    if (outbound === before) {
      this.#names = this.#shared.after(this.#names, NONE);
      return this.#names;
    }
    this.#of = outbound;
    const touched = new Set<string>();
    for (const [older, newer] of changedEntries(before?.httpPorts, outbound.httpPorts)) {
      this.#countHosts(older, newer, touched);
      this.#countChains(older, newer, touched);
    }
    for (const [older, newer] of changedEntries(before?.tcpPorts, outbound.tcpPorts)) {
      this.#countChains(older, newer, touched);
    }
    this.#count(keysOfUnknown(before), -1, touched);
    this.#count(keysOfUnknown(outbound), 1, touched);
    const changes = new Map<string, true | undefined>();
    for (const key of touched) {
      const isNamed = this.#counts.has(key) || undefined;
      if (isNamed !== this.#names.get(key)) changes.set(key, isNamed);
    }
    this.#names = this.#shared.after(this.#names, changes);
    return this.#names;
  }

  #countHosts(
    older: OutboundHttpPortIntent | undefined,
    newer: OutboundHttpPortIntent | undefined,
    touched: Set<string>,
  ): void {
    for (const [host, after] of changedEntries(older?.table.hosts, newer?.table.hosts)) {
      if (host !== undefined) this.#count(this.#shared.keysOf(host), -1, touched);
      if (after !== undefined) this.#count(this.#shared.keysOf(after), 1, touched);
    }
  }

  #countChains(
    older: TcpPortIntent | OutboundHttpPortIntent | undefined,
    newer: TcpPortIntent | OutboundHttpPortIntent | undefined,
    touched: Set<string>,
  ): void {
    if (older?.chains === newer?.chains) return;
    this.#count(keysOfChains(older?.chains), -1, touched);
    this.#count(keysOfChains(newer?.chains), 1, touched);
  }

  #count(keys: readonly string[], by: 1 | -1, touched: Set<string>): void {
    for (const key of keys) {
      const count = (this.#counts.get(key) ?? 0) + by;
      if (count === 0) this.#counts.delete(key);
      else this.#counts.set(key, count);
      touched.add(key);
    }
  }
}

function* changedEntries<V>(
  older: ReadonlyMap<string, V> | undefined,
  newer: ReadonlyMap<string, V> = new Map(),
): Generator<[V | undefined, V | undefined]> {
  for (const key of keysToCompare(older, newer)) {
    const [before, after] = [older?.get(key), newer.get(key)];
    if (before !== after) yield [before, after];
  }
}

function keysOfChains(chains: readonly TcpChainIntent[] = []): string[] {
  return chains.flatMap(({ to }) => to.map(({ ref }) => keyOf(ref)));
}

function keysOfUnknown(outbound: OutboundIntent | undefined): string[] {
  const unknown = outbound?.unknown;
  return unknown === undefined || typeof unknown === 'string' ? [] : [keyOf(unknown)];
}

function keyOf(ref: DestinationRef): string {
  return destinationKey({ use: 'proxy', ref });
}
