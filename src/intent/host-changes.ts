// SPDX-License-Identifier: Apache-2.0
// From one view to the next of the same proxies: which hosts have to be looked at again.
import { covers } from '../api/names.ts';
import { Dependents } from '../incremental/dependents.ts';
import { changesBetween } from '../incremental/derived-map.ts';
import { ReadLog, RecordedMap, readKey, WHOLE } from '../incremental/recorded-map.ts';
import type { HostTable } from '../model/hosts.ts';
import type { ProxyView } from '../model/view.ts';

interface Table {
  readonly name: string;
  /** The host that a key belongs to. */
  hostOf(key: string): string;
  of(view: ProxyView): ReadonlyMap<string, unknown>;
}

const itself = (host: string): string => host;
/** Of `NAMESPACE/HOST/NAME` the host. */
const hostOfService = (key: string): string => key.split('/')[1] ?? key;

const SERVICES: Table = { name: 'services', hostOf: itself, of: (view) => view.serviceOf };
const RULES: Table = { name: 'rules', hostOf: itself, of: (view) => view.rules.exact };
const DESTINATION_RULES: Table = {
  name: 'destination-rules',
  hostOf: itself,
  of: (view) => view.destinationRules.exact,
};
// These are part of what a service is: whoever reads them has looked up the service.
const IDENTITIES: Table = { name: SERVICES.name, hostOf: hostOfService, of: (view) => view.identities };
const HEADLESS: Table = { name: SERVICES.name, hostOf: hostOfService, of: (view) => view.headless };

/** Who the client is, by the namespaces that were asked for. */
const CLIENTS = 'clients';

const TABLES = [SERVICES, RULES, DESTINATION_RULES, IDENTITIES, HEADLESS];

/**
 * Follows the views of proxies that see the same. What is computed for a host is computed with `compute`, by which every
 * read is known; `advance` then names the hosts for which something is different now.
 */
export class HostChanges {
  readonly #log = new ReadLog();
  readonly #dependents: Dependents;
  #view: ProxyView;
  #recorded: ProxyView;
  #isNew: boolean;

  /** `from`: of clients that see the very same from another namespace; what was read for them is known here too. */
  constructor(view: ProxyView, from?: HostChanges) {
    this.#view = view;
    this.#recorded = this.#record();
    this.#dependents = new Dependents(from === undefined ? undefined : from.#dependents);
    this.#isNew = from === undefined;
  }

  get view(): ProxyView {
    return this.#view;
  }

  /** Hosts for which something was computed that may be otherwise for clients in the other one of these namespaces. */
  betweenClients(one: string, other: string): Set<string> {
    const hosts = [one, other, WHOLE].map((key) => this.#dependents.of(readKey(CLIENTS, key)));
    return new Set(hosts.flatMap((readers) => [...readers]));
  }

  /** Hosts to compute anew, among them those that are gone. */
  advance(view: ProxyView): Set<string> {
    const before = this.#view;
    this.#view = view;
    const isWhole = this.#isNew || !sameFrame(before, view) || !sameWildcards(before, view);
    this.#isNew = false;
    if (isWhole) this.#recorded = this.#record();
    const changed = new Set<string>();
    for (const table of TABLES) this.#collect(table, before, isWhole, changed);
    return changed;
  }

  /** Computes something for a host; what it reads is noted in the place of what was read for the host before. */
  compute<T>(host: string, make: (view: ProxyView) => T): T {
    const { value, reads } = this.#log.during(host, () => make(this.#recorded));
    this.#dependents.set(host, reads);
    return value;
  }

  /** Computes something more for the host: what it reads is noted besides. */
  extend<T>(host: string, make: (view: ProxyView) => T): T {
    const { value, reads } = this.#log.during(host, () => make(this.#recorded));
    this.#dependents.add(host, reads);
    return value;
  }

  #collect(table: Table, before: ProxyView, isWhole: boolean, changed: Set<string>): void {
    const [older, newer] = [table.of(before), table.of(this.#view)];
    const known = isWhole ? undefined : changesBetween(older, newer);
    const keys = known ?? new Set([...older.keys(), ...newer.keys()]);
    let isAny = false;
    for (const key of keys) {
      isAny = true;
      const host = table.hostOf(key);
      changed.add(host);
      if (isWhole) continue;
      if (table === SERVICES) this.#addWildcardsOver(host, changed);
      this.#addReaders(readKey(table.name, host), changed);
    }
    if (isAny && !isWhole) this.#addReaders(readKey(table.name, WHOLE), changed);
  }

  #addReaders(read: string, changed: Set<string>): void {
    for (const host of this.#dependents.of(read)) changed.add(host);
  }

  /** A rule for a wildcard makes up a host only where no service is below it. */
  #addWildcardsOver(host: string, changed: Set<string>): void {
    for (const { pattern } of this.#view.rules.wildcards) if (covers(pattern, host)) changed.add(pattern);
  }

  #record(): ProxyView {
    const map = <V>(name: string, of: (view: ProxyView) => ReadonlyMap<string, V>) =>
      new RecordedMap(name, this.#log, () => of(this.#view));
    const { rules, destinationRules } = this.#view;
    const viewNow = () => this.#view;
    const noteClient = (namespace: string) => this.#log.note(CLIENTS, namespace);
    // What is no table, and wildcards, are the same in all views of one frame, or everything is computed anew.
    return {
      ...this.#view,
      serviceOf: map(SERVICES.name, (view) => view.serviceOf),
      rules: { exact: map(RULES.name, (view) => view.rules.exact), wildcards: rules.wildcards },
      destinationRules: {
        exact: map(DESTINATION_RULES.name, (view) => view.destinationRules.exact),
        wildcards: destinationRules.wildcards,
      },
      isIn: (namespace: string) => {
        noteClient(namespace);
        return viewNow().namespace === namespace;
      },
      get namespace() {
        noteClient(WHOLE);
        return viewNow().namespace;
      },
      get labels() {
        noteClient(WHOLE);
        return viewNow().labels;
      },
      get identities() {
        return viewNow().identities;
      },
      get headless() {
        return viewNow().headless;
      },
    };
  }
}

function sameWildcards(a: ProxyView, b: ProxyView): boolean {
  const same = (x: HostTable<unknown>, y: HostTable<unknown>) =>
    x.wildcards === y.wildcards ||
    (x.wildcards.length === y.wildcards.length &&
      x.wildcards.every(({ pattern, values }, i) => {
        const other = y.wildcards[i]!;
        return pattern === other.pattern && values === other.values;
      }));
  return same(a.rules, b.rules) && same(a.destinationRules, b.destinationRules);
}

/** All that a view has besides its tables. */
function sameFrame(a: ProxyView, b: ProxyView): boolean {
  return (
    a.key === b.key &&
    a.mesh === b.mesh &&
    a.settings === b.settings &&
    a.vantage.gateways === b.vantage.gateways &&
    a.vantage.key === b.vantage.key &&
    JSON.stringify(a.vantage.far) === JSON.stringify(b.vantage.far)
  );
}
