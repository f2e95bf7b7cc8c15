// SPDX-License-Identifier: Apache-2.0
// From one view to the next of the same proxies: which hosts have to be looked at again.
import { covers } from '../api/names.ts';
import { Dependents } from '../incremental/dependents.ts';
import { changesBetween } from '../incremental/derived-map.ts';
import { ReadLog, RecordedMap, readKey, WHOLE } from '../incremental/recorded-map.ts';
import type { HostTable } from '../model/hosts.ts';
import type { ProxyView } from '../model/view.ts';

/** A table of the view, and what its keys are: hosts, or keys of services. */
interface Table {
  readonly name: string;
  readonly keys: 'hosts' | 'others';
  of(view: ProxyView): ReadonlyMap<string, unknown>;
}

const TABLES: readonly Table[] = [
  { name: 'services', keys: 'hosts', of: (view) => view.serviceOf },
  { name: 'rules', keys: 'hosts', of: (view) => view.rules.exact },
  { name: 'destination-rules', keys: 'hosts', of: (view) => view.destinationRules.exact },
  { name: 'identities', keys: 'others', of: (view) => view.identities },
  { name: 'headless', keys: 'others', of: (view) => view.headless },
];
/** The wildcards of a table of rules, all together: whoever looks up a host looks through them. */
const WILDCARDS = '*';

/**
 * Follows the views of proxies that see the same. What is computed for a host is computed with `compute`, by which every
 * read is known; `advance` then names the hosts for which something is different now.
 */
export class HostChanges {
  readonly #log = new ReadLog();
  readonly #dependents = new Dependents();
  #view: ProxyView;
  #recorded: ProxyView;
  #isNew = true;

  constructor(view: ProxyView) {
    this.#view = view;
    this.#recorded = this.#record();
  }

  get view(): ProxyView {
    return this.#view;
  }

  /** Hosts to compute anew, among them those that are gone. */
  advance(view: ProxyView): Set<string> {
    const before = this.#view;
    this.#view = view;
    const isWhole = this.#isNew || !sameFrame(before, view);
    this.#isNew = false;
    if (isWhole) this.#recorded = this.#record();
    const changed = new Set<string>();
    for (const table of TABLES) this.#collect(table, before, isWhole, changed);
    return changed;
  }

  /** Computes something for a host; what it reads is noted in the place of what was read for the host before. */
  compute<T>(host: string, make: (view: ProxyView) => T): T {
    const { value, reads } = this.#log.during(() => make(this.#recorded));
    this.#note(host, reads, false);
    return value;
  }

  /** Computes something more for the host: what it reads is noted besides. */
  extend<T>(host: string, make: (view: ProxyView) => T): T {
    const { value, reads } = this.#log.during(() => make(this.#recorded));
    this.#note(host, reads, true);
    return value;
  }

  #note(host: string, reads: ReadonlySet<string>, isMore: boolean): void {
    const own = new Set(TABLES.flatMap(({ keys, name }) => (keys === 'hosts' ? [readKey(name, host)] : [])));
    const others = [...reads].filter((read) => !own.has(read));
    if (isMore) this.#dependents.add(host, others);
    else this.#dependents.set(host, others);
  }

  #collect(table: Table, before: ProxyView, isWhole: boolean, changed: Set<string>): void {
    const [older, newer] = [table.of(before), table.of(this.#view)];
    const known = isWhole ? undefined : changesBetween(older, newer);
    const keys = known ?? new Set([...older.keys(), ...newer.keys()]);
    let isAny = false;
    for (const key of keys) {
      isAny = true;
      if (table.keys === 'hosts') changed.add(key);
      if (key.startsWith(WILDCARDS)) this.#addReaders(readKey(table.name, WILDCARDS), changed);
      if (table.name === 'services') this.#addWildcardsOver(key, changed);
      this.#addReaders(readKey(table.name, key), changed);
    }
    if (isAny) this.#addReaders(readKey(table.name, WHOLE), changed);
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
    const rules = <R>(name: string, of: (view: ProxyView) => HostTable<R>): HostTable<R> => {
      const [changes, log] = [this, this.#log];
      return {
        exact: map(name, (view) => of(view).exact),
        get wildcards() {
          log.note(name, WILDCARDS);
          return of(changes.#view).wildcards;
        },
      };
    };
    // What is no table is the same in all views of one frame, or everything is computed anew.
    return {
      ...this.#view,
      serviceOf: map('services', (view) => view.serviceOf),
      rules: rules('rules', (view) => view.rules),
      destinationRules: rules('destination-rules', (view) => view.destinationRules),
      identities: map('identities', (view) => view.identities),
      headless: map('headless', (view) => view.headless),
    };
  }
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
