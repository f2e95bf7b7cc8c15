// SPDX-License-Identifier: Apache-2.0

/** How often it is looked whether garbage has been collected. */
const CHECK_EVERY = 64;

/**
 * All versions of a map. Whoever holds an old one, a proxy's tables that nobody asks for now, say, would hold all that has been
 * in between: what garbage collection has left of the old ones is held, and is brought up to the newest in one step.
 */
class Lineage {
  #older: WeakRef<{ settle(): void }>[] = [];
  #checkAt = CHECK_EVERY;
  /** Gone once garbage has been collected. */
  #uncollected = new WeakRef({});

  supersede(version: { settle(): void }): void {
    this.#older.push(new WeakRef(version));
    if (this.#older.length < this.#checkAt) return;
    if (this.#uncollected.deref() === undefined) {
      this.#older = this.#older.filter((each) => {
        const held = each.deref();
        held?.settle();
        return held !== undefined;
      });
      this.#uncollected = new WeakRef({});
    }
    this.#checkAt = this.#older.length + CHECK_EVERY;
  }
}

/**
 * A map that never changes, and knows how its later versions differ from it. A new version costs what has changed: the
 * newest owns the entries, and each older one keeps only what is different in it. So `changesSince` is known, and not
 * found by comparing.
 */
export class VersionedMap<K, V> implements ReadonlyMap<K, V> {
  /** Of the newest version. */
  #entries: Map<K, V> | undefined;
  /** Of every other: the version after it (or a later one), and what this one has in the place of that one's values. */
  #newer: { next: VersionedMap<K, V>; readonly before: Map<K, V | undefined> } | undefined;
  readonly #size: number;
  /** One object for all versions of a map. */
  readonly lineage: Lineage;

  /** Takes the entries over: whoever gives them changes them no more. */
  constructor(entries: Map<K, V> = new Map(), lineage: Lineage = new Lineage()) {
    this.#entries = entries;
    this.#size = entries.size;
    this.lineage = lineage;
  }

  /** A version with these entries; undefined takes one away. This very map when they change nothing. */
  with(changes: Iterable<readonly [K, V | undefined]>): VersionedMap<K, V> {
    const entries = this.#entries ?? new Map(this);
    const before = new Map<K, V | undefined>();
    for (const [key, value] of changes) {
      const old = entries.get(key);
      if (old === value) continue;
      if (!before.has(key)) before.set(key, old);
      else if (before.get(key) === value) before.delete(key);
      if (value === undefined) entries.delete(key);
      else entries.set(key, value);
    }
    if (before.size === 0) return this;
    if (this.#entries === undefined) return new VersionedMap(entries);
    const next = new VersionedMap(entries, this.lineage);
    this.#entries = undefined;
    this.#newer = { next, before };
    this.lineage.supersede(this);
    return next;
  }

  /** The same entries as a map of its own. */
  copy(): VersionedMap<K, V> {
    return new VersionedMap(new Map(this.#entries ?? this));
  }

  /**
   * Keys whose values are others than in `older`, which is an earlier version of this map; undefined when it is not. May
   * name a key that has come back to its old value.
   */
  changesSince(older: ReadonlyMap<K, V>): ReadonlySet<K> | ReadonlyMap<K, unknown> | undefined {
    if (older === this) return NOTHING;
    if (!(older instanceof VersionedMap)) return undefined;
    if (this.#entries !== undefined) return older.#link()?.next === this ? older.#newer!.before : undefined;
    const keys = new Set<K>();
    let at: VersionedMap<K, V> = older;
    while (at !== this) {
      if (at.#newer === undefined) return undefined;
      for (const key of at.#newer.before.keys()) keys.add(key);
      at = at.#newer.next;
    }
    return keys;
  }

  /** No other version has been made of it. */
  get isLatest(): boolean {
    return this.#entries !== undefined;
  }

  get size(): number {
    return this.#size;
  }

  get(key: K): V | undefined {
    if (this.#entries !== undefined) return this.#entries.get(key);
    const { before, next } = this.#link()!;
    return before.has(key) ? before.get(key) : next.get(key);
  }

  has(key: K): boolean {
    return this.get(key) !== undefined;
  }

  forEach(call: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this) call(value, key, this);
  }

  // The newest is gone through again and again, by the map's own iterators: generators around them cost more than the work.
  entries(): MapIterator<[K, V]> {
    return this.#entries?.entries() ?? this.#olderEntries();
  }
  keys(): MapIterator<K> {
    return this.#entries?.keys() ?? this.#olderEntries().map(([key]) => key);
  }
  values(): MapIterator<V> {
    return this.#entries?.values() ?? this.#olderEntries().map(([, value]) => value);
  }
  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  *#olderEntries(): MapIterator<[K, V]> {
    const { before, next } = this.#link()!;
    for (const entry of next.#entries!) if (!before.has(entry[0])) yield entry;
    for (const [key, value] of before) if (value !== undefined) yield [key, value];
  }

  /** Keeps of an older version no more than what is different in it now, whatever was in between. */
  settle(): void {
    const link = this.#link();
    if (link === undefined) return;
    for (const [key, value] of link.before) if (link.next.#entries?.get(key) === value) link.before.delete(key);
  }

  /** Of an older version the way to the newest, in one step: however many lie between, each is walked once. */
  #link(): { next: VersionedMap<K, V>; readonly before: Map<K, V | undefined> } | undefined {
    const link = this.#newer;
    if (link === undefined) return undefined;
    for (let after = link.next.#newer; after !== undefined; after = link.next.#newer) {
      for (const [key, value] of after.before) if (!link.before.has(key)) link.before.set(key, value);
      link.next = after.next;
    }
    return link;
  }
}

const NOTHING: ReadonlySet<never> = new Set();
