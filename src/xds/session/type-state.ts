// SPDX-License-Identifier: Apache-2.0
// One resource type on one stream: what the client asked for, what it has, what it refused, and what it must still get.
// Pure state; the session decides what is sent when.
import type { Kept, Offer, XdsResource } from '../types.ts';
import { type Held, HeldResources } from './held-resources.ts';
import type { DiffMaps, ResourceMap } from './map-diff.ts';
import { SharedMap, SharedSet } from './shared-collections.ts';
import type { SharedLists } from './shared-lists.ts';

export interface Outstanding {
  readonly nonce: string;
  readonly sentAtMs: number;
  readonly upserts: readonly XdsResource[];
  readonly removals: readonly string[];
  /** True when this is a part of a refused response, sent again to find out what in it was wrong. */
  readonly isTrial: boolean;
}

export interface Rejection {
  readonly version: string;
  readonly message: string;
}

/** What there is of a type now. */
export interface Plan {
  /** The client should have all of it. */
  readonly resources: ResourceMap;
  /** It gets of it what it asks for. */
  readonly offer: Offer;
  /** See KeptState. */
  readonly kept: Kept | undefined;
}

export const NO_OFFER: Offer = { resources: new Map() };

/** Below that, looking for what others asked by costs more than it spares. */
const MANY = 64;

/** Equals no version: what the client holds is not known. */
export const UNKNOWN: Held = { version: '' };

export class TypeState {
  readonly typeUrl: string;
  wildcard = false;
  /** Asked for by name. Names are those of our own resources where there are any, so that streams share the strings. */
  readonly names = new SharedSet();
  readonly held = new HeldResources();
  /** Refused, and not replaced since. The client goes on with what it had before. */
  readonly rejected = new Map<string, Rejection>();
  outstanding: Outstanding | undefined;
  /** Upserts to send, removals to send, and names that the client waits for although there is no such resource. */
  readonly upserts = new SharedMap<XdsResource>();
  readonly removals = new Set<string>();
  readonly absent = new Set<string>();
  /** An answer is due even when there is nothing in it: a client without resources waits for its first response. */
  owesAnswer = false;
  /** Groups of a refused response to be tried apart. */
  readonly trials: string[][] = [];
  lastAckMs: number | undefined;
  lastNack: { readonly atMs: number; readonly message: string } | undefined;

  /** State of the world: the client has named nothing so far, which means everything. */
  isUnnamed = false;

  #planned: ResourceMap;
  #offer: Offer;
  #kept: Plan['kept'];
  /** Names that the client has for no other reason than that they are kept. */
  readonly #keptNames = new Set<string>();
  /** Route configurations whose virtual hosts are asked for, whatever these are called. */
  readonly #tables = new Set<string>();
  #newlyAsked: string[] = [];
  /** Names to be sent even if the client seems to hold the current version. */
  readonly #forced = new Set<string>();
  #lastNonce = '';

  constructor(typeUrl: string, { resources, offer, kept }: Plan) {
    this.typeUrl = typeUrl;
    this.#planned = resources;
    this.#offer = offer;
    this.#kept = kept;
  }

  get lastNonce(): string {
    return this.#lastNonce;
  }

  get hasUnsent(): boolean {
    return this.upserts.size > 0 || this.absent.size > 0 || this.owesAnswer || this.trials.length > 0;
  }

  /** Length of the names and versions that are kept, and that no resource shares. */
  get strangeBytes(): number {
    const isShared = (name: string) => this.#known(name) !== undefined;
    let bytes = 0;
    for (const name of this.names) if (!isShared(name)) bytes += name.length;
    for (const [name, held] of this.held.values()) {
      if ('value' in held) continue;
      bytes += held.version.length + (isShared(name) ? 0 : name.length);
    }
    return bytes;
  }

  isSubscribed(name: string): boolean {
    return this.wildcard || this.names.has(name) || this.#isInTable(name);
  }

  #isInTable(name: string): boolean {
    return this.#tables.size > 0 && this.#tables.has(tableOf(name));
  }

  /** Its own name, for a name as the client asks for a virtual host; undefined: there is no such host. */
  resolve(asked: string): string | undefined {
    return this.#planned.has(asked) ? asked : this.#offer.resolve?.(asked);
  }

  /** Names on offer that the client asked for since this was called last. */
  takeNewlyAsked(): readonly string[] {
    const names = this.#newlyAsked;
    if (names.length > 0) this.#newlyAsked = [];
    return names;
  }

  /** What there should be under a name that the client may have asked for. */
  #wanted(name: string): XdsResource | undefined {
    const pushed = this.#planned.get(name);
    if (pushed !== undefined) return pushed;
    const isAsked = this.names.has(name);
    const offered = isAsked ? this.#offer.resources.get(name) : undefined;
    return offered ?? (isAsked || this.held.has(name) ? this.#kept?.find(name) : undefined);
  }

  /** What there is under a name, if the client has it or asks for it. */
  #known(name: string): XdsResource | undefined {
    return this.#planned.get(name) ?? this.#offer.resources.get(name) ?? this.#kept?.find(name);
  }

  #ask(name: string): void {
    if (this.names.has(name)) return;
    this.names.add(name);
    if (this.#offer.resources.has(name)) this.#newlyAsked.push(name);
  }

  /** The client wants `name`, and is answered even if it should have it: it may have dropped it meanwhile. */
  subscribe(name: string): void {
    if (name === '*') {
      this.wildcard = true;
      this.#settleAll();
      return;
    }
    const wanted = this.#known(name);
    const shared = wanted?.name ?? name;
    this.#ask(shared);
    if (!this.held.has(shared) && wanted !== undefined) {
      this.upserts.set(shared, wanted);
      if (this.#kept !== undefined) this.#noteKept(shared, wanted);
      return;
    }
    const isAnswered = wanted !== undefined || this.held.has(shared) || this.#offer.standIn !== undefined;
    if (!isAnswered) this.absent.add(shared);
    else this.#forced.add(shared);
    this.#settle(shared);
  }

  /** The same for many names; `lists` knows those that others have asked by. */
  subscribeAll(names: readonly string[], lists: SharedLists): void {
    const isFresh = this.names.size + this.held.size + this.upserts.size + this.absent.size === 0 && !this.wildcard;
    const all = isFresh && names.length >= MANY ? lists.allOf(names, this.#planned) : undefined;
    if (all === undefined) {
      for (const name of names) this.subscribe(name);
      return;
    }
    this.names.becomes(all);
    this.upserts.becomes(this.#planned);
  }

  /** The client has these tables and no others: it takes the virtual hosts that are pushed of them. */
  followTables(tables: Pick<SharedSet, 'has' | typeof Symbol.iterator>): void {
    const added = new Set([...tables].filter((table) => !this.#tables.has(table)));
    const lost = new Set([...this.#tables].filter((table) => !tables.has(table)));
    for (const table of added) this.#tables.add(table);
    if (added.size > 0) for (const name of this.#planned.keys()) if (added.has(tableOf(name))) this.#settle(name);
    for (const table of lost) this.#tables.delete(table);
    if (lost.size === 0) return;
    const names = [...this.upserts.keys(), ...this.removals, ...[...this.held.values()].map(([name]) => name)];
    for (const name of names) {
      if (!lost.has(tableOf(name))) continue;
      this.names.delete(name);
      this.#forget(name);
      this.#settle(name);
    }
  }

  /** The client gets these as if it had asked for them, as far as they are on offer. */
  foresee(names: Iterable<string>): void {
    for (const name of names) {
      if (this.names.has(name) || !this.#offer.resources.has(name)) continue;
      this.names.add(name);
      this.#settle(name);
    }
  }

  unsubscribe(name: string): void {
    if (name === '*') {
      this.wildcard = false;
      for (const [held] of [...this.held.values()]) if (!this.names.has(held)) this.#forget(held);
      this.#settleAll();
    } else if (this.names.delete(name)) {
      // Still in the wildcard? The client cannot know: tell it, by sending the resource or its removal.
      if (this.wildcard) this.#forced.add(name);
      else this.#forget(name);
      this.#settle(name);
    }
  }

  #forget(name: string): void {
    this.held.delete(name);
    this.rejected.delete(name);
    this.#forced.delete(name);
    this.#keptNames.delete(name);
  }

  /** Versions that the client brought along from an earlier stream: no need to send those again, unless `mustAnswer`. */
  resume(versions: readonly (readonly [string, string])[], mustAnswer: boolean): void {
    if (!mustAnswer && this.#holdsAll(versions)) return;
    for (const [name, version] of versions) {
      const known = this.#known(name);
      const shared = known?.name ?? name;
      // In use there, even if it was given unasked.
      if (!this.#planned.has(name) && this.#offer.resources.has(name)) this.#ask(shared);
      this.held.set(shared, known?.version === version ? known : { version });
      // Gone here, but held there: an ordinary removal, in its own time.
      this.absent.delete(shared);
      if (mustAnswer && this.names.has(shared)) this.#forced.add(shared);
      this.#settle(shared);
    }
    this.#compact();
  }

  /** After a restart of ours most clients hold just what they should. */
  #holdsAll(versions: readonly (readonly [string, string])[]): boolean {
    if (versions.length !== this.#planned.size || this.held.size + this.absent.size > 0) return false;
    if (this.#offer.resources.size > 0 || this.#forced.size > 0) return false;
    const isRight = ([name, version]: readonly [string, string]) =>
      this.#planned.get(name)?.version === version && (this.wildcard || this.names.has(name));
    if (!versions.every(isRight)) return false;
    this.held.becomes(this.#planned);
    this.upserts.clear();
    return true;
  }

  /** Answers for `name` again, if the client asked for it. */
  resend(name: string): void {
    if (!this.isSubscribed(name) || this.absent.has(name)) return;
    // Also when an upsert is due anyway: should it vanish before it is sent, the client waits for an answer all the same.
    if (this.held.has(name)) this.#forced.add(name);
    else if (!this.upserts.has(name)) this.absent.add(name);
    this.#settle(name);
  }

  /**
   * Works out what must be sent so that the client holds what is planned. False when that is as it was.
   */
  plan({ resources, offer, kept }: Plan, diff: DiffMaps): boolean {
    const [from, before, keptBefore] = [this.#planned, this.#offer, this.#kept];
    if (resources === from && offer === before && kept === keptBefore) return false;
    this.#planned = resources;
    this.#offer = offer;
    this.#kept = kept;
    if (resources !== from) {
      const names = diff(from, resources);
      this.held.follow(from, resources, names);
      for (const name of names) this.#settle(name);
    }
    if (kept !== keptBefore) {
      // What was about to be taken back may be kept again.
      for (const name of [...this.#keptThatChanged(keptBefore, kept, diff), ...this.removals]) this.#settle(name);
    }
    if (offer.resources === before.resources) return true;
    for (const name of diff(before.resources, offer.resources)) {
      if (this.names.has(name) || this.held.has(name)) this.#settle(name);
    }
    return true;
  }

  /** After a release that pushed more, each proxy may keep thousands: what has changed of all is found out once for all. */
  #keptThatChanged(before: Plan['kept'], after: Plan['kept'], diff: DiffMaps): readonly string[] {
    const names = this.#keptNames;
    if (names.size < MANY || before === undefined || after === undefined) return [...names];
    return diff(before.all(), after.all()).filter((name) => names.has(name));
  }

  #settleAll(): void {
    if (this.wildcard && this.held.size + this.upserts.size + this.absent.size === 0) {
      this.upserts.becomes(this.#planned);
      return;
    }
    const held = [...this.held.values()].map(([name]) => name);
    const todo = [...this.upserts.keys(), ...this.absent, ...this.removals, ...this.#forced];
    for (const name of new Set([...this.#planned.keys(), ...held, ...todo])) this.#settle(name);
  }

  #noteKept(name: string, real: XdsResource | undefined): void {
    if (real !== undefined && !this.#planned.has(name) && !this.#offer.resources.has(name)) this.#keptNames.add(name);
    else this.#keptNames.delete(name);
  }

  /** Brings the three to-do collections up to date for one name. */
  #settle(name: string): void {
    const real = this.#wanted(name);
    if (this.#kept !== undefined || this.#keptNames.size > 0) this.#noteKept(name, real);
    const held = this.held.get(name);
    const standIn = real === undefined && this.names.has(name) ? this.#offer.standIn?.(name) : undefined;
    // What is gone is taken back first, in its own time: others may still use it.
    const isGoing = standIn !== undefined && held !== undefined && held.version !== standIn.version;
    const wanted = real ?? (isGoing ? undefined : standIn);
    const forced = this.#forced.has(name);
    const wasPending = this.upserts.delete(name);
    const wasAbsent = this.absent.delete(name);
    // Asked for and never answered: gone before it was sent is an answer too.
    const isAwaited = this.names.has(name) && (wasAbsent || (wasPending && held === undefined));
    this.removals.delete(name);
    if (!this.isSubscribed(name)) {
      this.#forced.delete(name);
    } else if (wanted !== undefined) {
      if (held?.version !== wanted.version || forced) this.upserts.set(wanted.name, wanted);
    } else if ((forced || isAwaited) && !isGoing) {
      this.absent.add(name);
    } else if (held !== undefined) {
      this.removals.add(name);
    }
  }

  /** Records that the client has been sent these, as if it held them from now on. */
  recordSent(sent: Outstanding): void {
    const isAll = !sent.isTrial && sent.upserts.length === this.upserts.size;
    if (isAll && this.held.size === 0 && this.upserts.shared === this.#planned) this.held.becomes(this.#planned);
    else for (const resource of sent.upserts) this.held.set(resource.name, resource);
    if (isAll) this.upserts.clear();
    else for (const { name } of sent.upserts) this.upserts.delete(name);
    if (this.#forced.size > 0) for (const { name } of sent.upserts) this.#forced.delete(name);
    this.recordRemoved(sent.removals);
    this.owesAnswer = false;
    this.outstanding = sent;
    this.#lastNonce = sent.nonce;
    this.#compact();
  }

  /** With nothing left to send, and as many held as there are, the client holds just what is planned. */
  #compact(): void {
    const isSettled = this.upserts.size + this.removals.size + this.absent.size + this.#forced.size === 0;
    if (!isSettled || this.held.size !== this.#planned.size) return;
    if (this.#offer.resources.size + this.#keptNames.size > 0) return;
    if (this.held.differences * 4 > this.#planned.size) this.held.becomes(this.#planned);
  }

  recordRemoved(names: readonly string[]): void {
    for (const name of names) {
      this.#forget(name);
      this.removals.delete(name);
      this.absent.delete(name);
      if (this.#offer.standIn !== undefined && this.names.has(name)) this.#settle(name);
    }
  }

  /** The client took the response. */
  accept(sent: Outstanding, nowMs: number): void {
    if (this.rejected.size > 0) for (const { name } of sent.upserts) this.rejected.delete(name);
    this.lastAckMs = nowMs;
  }

  /** The client refused the response for good: what was in it is not sent again until it changes. */
  reject(sent: Outstanding, message: string, nowMs: number): void {
    for (const { name, version } of sent.upserts) this.rejected.set(name, { version, message });
    this.lastNack = { atMs: nowMs, message };
  }

  /**
   * The client refused a response of several resources: one of them may be bad, and hold up the others. Has them tried
   * in two groups, so that in the end each bad one stands alone. False when there is nothing left to divide.
   */
  isolate(sent: Outstanding, message: string, nowMs: number): boolean {
    if (sent.upserts.length < 2) return false;
    this.lastNack = { atMs: nowMs, message };
    const names = sent.upserts.map((resource) => resource.name);
    const mentioned = names.filter((name) => message.includes(name));
    if (mentioned.length > 0 && mentioned.length < names.length) {
      const others = new Set(mentioned);
      this.trials.unshift(
        names.filter((name) => !others.has(name)),
        mentioned,
      );
    } else {
      const half = Math.ceil(names.length / 2);
      this.trials.unshift(names.slice(0, half), names.slice(half));
    }
    return true;
  }

  /** State of the world: everything that the client should hold after this response. */
  heldResources(lists: SharedLists): readonly XdsResource[] {
    if (this.held.isJust(this.#planned)) return lists.of(this.#planned);
    return [...this.held.values()].flatMap(([, held]) => ('value' in held ? [held] : []));
  }

  /** Drops from the trials what is no longer as it was refused: that takes the ordinary way, or none. */
  pruneTrials(): void {
    while (this.trials[0] !== undefined && this.#stillRefused(this.trials[0]).length === 0) this.trials.shift();
  }

  /** The first group to be tried, empty when there is none. */
  nextTrial(): XdsResource[] {
    const group = this.trials.shift();
    return group === undefined ? [] : this.#stillRefused(group);
  }

  #stillRefused(names: readonly string[]): XdsResource[] {
    return names.flatMap((name) => {
      const current = this.isSubscribed(name) ? this.#wanted(name) : undefined;
      if (current !== undefined && this.held.get(name)?.version === current.version) return [current];
      // Another version is to be sent, and may yet change back to this one, which was refused but never tried alone; or
      // it is to be taken back, and was perhaps never taken.
      if (this.upserts.has(name) || this.removals.has(name)) this.held.set(name, UNKNOWN);
      return [];
    });
  }
}

/** `9080` of `9080/reviews.default.svc.cluster.local:9080` */
export function tableOf(name: string): string {
  const slash = name.indexOf('/');
  return slash === -1 ? name : name.slice(0, slash);
}
