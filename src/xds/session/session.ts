// SPDX-License-Identifier: Apache-2.0
// The state of one discovery stream, without any I/O: requests go in, responses come out, and time is an argument.
import {
  type DesiredState,
  type KeptState,
  type OfferedState,
  type XdsNack,
  XdsRefusal,
  type XdsResource,
} from '../types.ts';
import { type DiffMaps, diffMaps, type ResourceMap } from './map-diff.ts';
import { mayRemove, mayUpsert } from './send-gates.ts';
import { SharedLists, wrappedBytes } from './shared-lists.ts';
import { NO_OFFER, type Outstanding, type Plan, type Rejection, TypeState, UNKNOWN } from './type-state.ts';
import {
  CLUSTER_TYPE,
  ENDPOINT_TYPE,
  FULL_STATE_TYPES,
  LISTENER_TYPE,
  ROUTE_TYPE,
  SEND_ORDER,
  VIRTUAL_HOST_TYPE,
} from './type-urls.ts';
import { MISSING_VERSION, type NamedAnswer, VirtualHostAsks } from './virtual-host-asks.ts';

/** Delta, or state-of-the-world. */
export type Variant = 'delta' | 'sotw';

/** A discovery request, reduced to what a session looks at. */
export interface SessionRequest {
  readonly typeUrl: string;
  /** '' when the request answers no response. */
  readonly nonce: string;
  /** Why the response with that nonce was refused; undefined when it was accepted. */
  readonly errorMessage: string | undefined;
  /** Delta: names gained. State of the world: all names. */
  readonly subscribe: readonly string[];
  /** Delta only. */
  readonly unsubscribe: readonly string[];
  /** Delta only: name and version of what the client holds from an earlier stream. */
  readonly initialVersions: readonly (readonly [string, string])[];
}

export interface SessionResponse {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly resources: readonly XdsResource[];
  /** Of virtual hosts: those that somebody waits for. */
  readonly named?: readonly NamedAnswer[];
  /** Delta only. */
  readonly removed: readonly string[];
}

/** What a request meant beyond its subscriptions. */
export type Received =
  | { readonly kind: 'subscription' }
  | { readonly kind: 'stale' }
  | {
      readonly kind: 'acknowledged';
      readonly typeUrl: string;
      readonly nonce: string;
      readonly resources: readonly XdsResource[];
      readonly latencyMs: number;
    }
  /** Refused as a whole; its parts are going to be tried apart. */
  | { readonly kind: 'isolating'; readonly typeUrl: string; readonly message: string }
  | { readonly kind: 'rejected'; readonly nack: XdsNack };

export interface TypeStatus {
  readonly typeUrl: string;
  readonly wildcard: boolean;
  readonly subscribed: number;
  readonly held: number;
  readonly outstanding: boolean;
  readonly unsent: number;
  readonly rejected: ReadonlyMap<string, Rejection>;
  readonly lastAckMs: number | undefined;
  readonly lastNack: { readonly atMs: number; readonly message: string } | undefined;
}

export interface HeldType {
  readonly typeUrl: string;
  readonly versions: ReadonlyMap<string, string>;
  readonly rejected: ReadonlyMap<string, Rejection>;
}

export interface SessionOptions {
  readonly variant: Variant;
  /** Shared by the streams of a server, so that they share the comparisons. */
  readonly diff?: DiffMaps;
  readonly lists?: SharedLists;
  /** Larger responses are sent in several: most gRPC clients refuse messages above 4 MiB. Delta only. */
  readonly maxResponseBytes?: number;
  /** How long listeners and routes wait for a client that is still warming the clusters they may need. */
  readonly warmingLimitMs?: number;
}

const NO_RESOURCES: ResourceMap = new Map();
/** Beyond what any Envoy asks for, so that no client makes the server hold whatever it can think of. */
const MAX_TYPES = 64;
const MAX_NAMES = 250_000;
/** Of names that no resource has: those of resources are shared, these are the stream's own. */
const MAX_STRANGE_BYTES = 8 * 1024 * 1024;

export class Session {
  readonly #variant: Variant;
  readonly #diff: DiffMaps;
  readonly #lists: SharedLists;
  readonly #maxResponseBytes: number;
  readonly #warmingLimitMs: number;
  readonly #types = new Map<string, TypeState>();
  #ordered: TypeState[] = [];
  #desired: DesiredState = new Map();
  #offered: OfferedState = new Map();
  #kept: KeptState = new Map();
  #foreseen: ReadonlyMap<string, Iterable<string>> = new Map();
  readonly #virtualHosts = new VirtualHostAsks();
  #nonces = 0;
  /** Since what is kept of them was counted. */
  #namedBytes = 0;
  /** When the client resumed without having asked for clusters. */
  #resumedAtMs: number | undefined;
  /** When the client said which clusters it has of an earlier stream. */
  #clustersHeldAtMs: number | undefined;

  constructor(options: SessionOptions) {
    this.#variant = options.variant;
    this.#diff = options.diff ?? diffMaps;
    this.#lists = options.lists ?? new SharedLists();
    this.#maxResponseBytes = options.maxResponseBytes ?? 3.5 * 1024 * 1024;
    this.#warmingLimitMs = options.warmingLimitMs ?? 5000;
  }

  /** What the client should hold from now on. Maps that did not change should be the same objects as before. */
  update(desired: DesiredState, offered: OfferedState = this.#offered, kept: KeptState = this.#kept): void {
    this.#desired = desired;
    this.#offered = offered;
    this.#kept = kept;
    // At once, even if nothing can be sent now: of a client that reads slowly only the latest state is kept.
    for (const state of this.#ordered) {
      const isNew = state.plan(this.#planOf(state.typeUrl), this.#diff);
      if (isNew && state.typeUrl === VIRTUAL_HOST_TYPE) this.#virtualHosts.resolveAgain(state);
    }
  }

  /** Type URL -> names on offer that are given unasked, once the client asks for anything of the type. */
  foresee(names: ReadonlyMap<string, Iterable<string>>): void {
    this.#foreseen = names;
  }

  /** Names on offer that the client asked for since this was called last, by type. */
  takeNewlyAsked(): [typeUrl: string, names: readonly string[]][] {
    const asked: [string, readonly string[]][] = [];
    for (const state of this.#ordered) {
      const names = state.takeNewlyAsked();
      if (names.length > 0) asked.push([state.typeUrl, names]);
    }
    return asked;
  }

  receive(request: SessionRequest, nowMs: number): Received {
    const known = this.#types.get(request.typeUrl);
    if (known === undefined && this.#types.size === MAX_TYPES) {
      throw new XdsRefusal(
        'INVALID_ARGUMENT',
        `a stream may ask for ${MAX_TYPES} types of resources, and not for more`,
      );
    }
    const state = known ?? this.#addType(request.typeUrl);
    if (this.#variant === 'sotw' && known !== undefined && this.#isStale(known, request)) return { kind: 'stale' };
    const received = this.#settleResponse(state, request, nowMs);
    if (this.#variant === 'sotw') this.#replaceNames(state, request, known === undefined);
    else this.#changeNames(state, request, known === undefined, nowMs);
    if (state.names.size + this.#virtualHosts.size > MAX_NAMES) {
      throw new XdsRefusal('INVALID_ARGUMENT', `a stream may name ${MAX_NAMES} resources of a type, and not more`);
    }
    this.#boundNames(request);
    return received;
  }

  /** The next response to send now, or undefined when there is nothing (yet). Call it until it is undefined. */
  next(nowMs: number): SessionResponse | undefined {
    for (const state of this.#ordered) state.pruneTrials();
    for (const state of this.#ordered) {
      if (state.outstanding !== undefined || !this.#mayHaveSomething(state)) continue;
      const picked = this.#pick(state, nowMs);
      if (picked !== undefined) return this.#send(state, picked, nowMs);
    }
    return undefined;
  }

  /** When `next` should be called even if nothing else happens: something waits for a client that takes its time. */
  wakeAtMs(nowMs: number): number | undefined {
    const isWaiting = this.#ordered.some((state) => state.hasUnsent || state.removals.size > 0);
    if (!isWaiting) return undefined;
    const limits = this.#ordered.flatMap((state) =>
      state.outstanding === undefined ? [] : [state.outstanding.sentAtMs + this.#warmingLimitMs],
    );
    for (const atMs of [this.#resumedAtMs, this.#clustersHeldAtMs]) {
      if (atMs !== undefined) limits.push(atMs + this.#warmingLimitMs);
    }
    const future = limits.filter((atMs) => atMs > nowMs);
    return future.length === 0 ? undefined : Math.min(...future);
  }

  status(): TypeStatus[] {
    return this.#ordered.map((state) => ({
      typeUrl: state.typeUrl,
      wildcard: state.wildcard,
      subscribed: state.names.size,
      held: state.held.size,
      outstanding: state.outstanding !== undefined,
      unsent: state.upserts.size + state.removals.size + state.trials.length,
      rejected: state.rejected,
      lastAckMs: state.lastAckMs,
      lastNack: state.lastNack,
    }));
  }

  /** What of this type the client has been sent, or brought along as it is now. */
  heldResources(typeUrl: string): readonly XdsResource[] {
    return this.#types.get(typeUrl)?.heldResources(this.#lists) ?? [];
  }

  /** Of each type: what the client has acknowledged, by name, with its version; and what it refuses. */
  acknowledged(): HeldType[] {
    return this.#ordered.map(({ typeUrl, held, rejected }) => {
      // What a client goes on with that refuses something is not known: some take the parts that are good.
      const taken = [...held.values()].filter(([name, each]) => each !== UNKNOWN && !rejected.has(name));
      const versions = new Map(taken.map(([name, { version }]) => [name, version]));
      return { typeUrl, versions, rejected };
    });
  }

  /** Counts what a request says, and only when that has come to much, what is kept of it. */
  #boundNames({ subscribe, initialVersions }: SessionRequest): void {
    for (const name of subscribe) this.#namedBytes += name.length;
    for (const [name, version] of initialVersions) this.#namedBytes += name.length + version.length;
    if (this.#namedBytes <= MAX_STRANGE_BYTES / 2) return;
    // From none again: who keeps to just below the bound must not have all of it counted for each word.
    this.#namedBytes = 0;
    const kept = this.#ordered.reduce((bytes, state) => bytes + state.strangeBytes, this.#virtualHosts.bytes);
    if (kept <= MAX_STRANGE_BYTES) return;
    throw new XdsRefusal('INVALID_ARGUMENT', `a stream may name ${MAX_STRANGE_BYTES} bytes of what there is not`);
  }

  #planOf(typeUrl: string): Plan {
    return {
      resources: this.#desired.get(typeUrl) ?? NO_RESOURCES,
      offer: this.#offered.get(typeUrl) ?? NO_OFFER,
      kept: this.#kept.get(typeUrl),
    };
  }

  #addType(typeUrl: string): TypeState {
    const state = new TypeState(typeUrl, this.#planOf(typeUrl));
    this.#types.set(typeUrl, state);
    this.#ordered = [...this.#types.values()].sort((a, b) => sendRank(a.typeUrl) - sendRank(b.typeUrl));
    return state;
  }

  /** State of the world: a request that answers an older response than the last says nothing about now. */
  #isStale(state: TypeState, request: SessionRequest): boolean {
    return request.nonce !== '' && request.nonce !== state.lastNonce;
  }

  #settleResponse(state: TypeState, request: SessionRequest, nowMs: number): Received {
    const sent = state.outstanding;
    if (request.nonce === '' || sent === undefined || sent.nonce !== request.nonce) return { kind: 'subscription' };
    state.outstanding = undefined;
    const { typeUrl } = state;
    if (request.errorMessage === undefined) {
      state.accept(sent, nowMs);
      const { nonce, upserts: resources } = sent;
      return { kind: 'acknowledged', typeUrl, nonce, resources, latencyMs: nowMs - sent.sentAtMs };
    }
    const message = request.errorMessage;
    const isTriedAgain = this.#variant === 'delta' && state.isolate(sent, message, nowMs);
    if (typeUrl === VIRTUAL_HOST_TYPE) this.#virtualHosts.refused(isTriedAgain);
    if (isTriedAgain) return { kind: 'isolating', typeUrl, message };
    state.reject(sent, message, nowMs);
    const resources = new Map(sent.upserts.map((resource) => [resource.name, resource.version]));
    return { kind: 'rejected', nack: { typeUrl, resources, nonce: sent.nonce, message } };
  }

  #changeNames(state: TypeState, request: SessionRequest, isFirst: boolean, nowMs: number): void {
    if (state.typeUrl === VIRTUAL_HOST_TYPE) {
      if (isFirst) this.#followTables();
      this.#virtualHosts.subscribe(state, request.subscribe);
      this.#virtualHosts.unsubscribe(state, request.unsubscribe);
      if (isFirst && request.initialVersions.length > 0) {
        const held = request.initialVersions.filter(([, version]) => version !== MISSING_VERSION);
        this.#resume(state, held, nowMs);
      }
      if (isFirst) this.#virtualHosts.resumed(state, request.initialVersions);
      if (isFirst) this.#virtualHosts.tablesSent(this.#types.get(ROUTE_TYPE)?.names ?? []);
      return;
    }
    const asksForAll = isFirst && request.subscribe.length === 0 && FULL_STATE_TYPES.has(state.typeUrl);
    if (asksForAll) state.subscribe('*');
    else state.subscribeAll(request.subscribe, this.#lists);
    for (const name of request.unsubscribe) state.unsubscribe(name);
    if (state.typeUrl === ROUTE_TYPE) this.#followTables();
    if (!isFirst) return;
    state.foresee(this.#foreseenIn(state));
    if (request.initialVersions.length > 0) this.#resume(state, request.initialVersions, nowMs);
    else state.owesAnswer = state.wildcard;
  }

  /** Of virtual hosts a client takes those of the route configurations that it has. */
  #followTables(): void {
    const hosts = this.#types.get(VIRTUAL_HOST_TYPE);
    if (hosts === undefined) return;
    hosts.followTables(this.#types.get(ROUTE_TYPE)?.names ?? new Set());
    hosts.foresee(this.#foreseenIn(hosts));
  }

  *#foreseenIn(state: TypeState): Iterable<string> {
    for (const name of this.#foreseen.get(state.typeUrl) ?? []) if (state.isSubscribed(name)) yield name;
  }

  /**
   * The client goes on with what it holds from an earlier stream. Envoy asks for clusters first, unless some of them were
   * still warming when that stream broke: then only when they are warm. Those wait for endpoints that it may already
   * hold, so holding them is no reason not to send them; and listeners and routes wait until the clusters are known.
   */
  #resume(state: TypeState, versions: SessionRequest['initialVersions'], nowMs: number): void {
    const clusters = this.#types.get(CLUSTER_TYPE);
    const isWarming = clusters === undefined;
    state.resume(versions, state.typeUrl === ENDPOINT_TYPE && isWarming);
    if (isWarming) this.#resumedAtMs ??= nowMs;
    if (state.typeUrl === CLUSTER_TYPE) this.#clustersHeldAtMs = nowMs;
    if (state.typeUrl !== ENDPOINT_TYPE) return;
    for (const { name } of clusters?.outstanding?.upserts ?? []) state.resend(name);
  }

  #replaceNames(state: TypeState, request: SessionRequest, isFirst: boolean): void {
    const isLegacyWildcard =
      request.subscribe.length === 0 && (isFirst ? FULL_STATE_TYPES.has(state.typeUrl) : state.isUnnamed);
    const wanted = new Set(isLegacyWildcard ? ['*'] : request.subscribe);
    if (request.subscribe.length > 0) state.isUnnamed = false;
    else if (isFirst) state.isUnnamed = isLegacyWildcard;
    if (isFirst) state.owesAnswer = isLegacyWildcard || wanted.size > 0;
    if (wanted.has('*') !== state.wildcard) {
      if (state.wildcard) state.unsubscribe('*');
      else state.subscribe('*');
    }
    for (const name of [...state.names]) if (!wanted.has(name)) state.unsubscribe(name);
    if (isFirst && !wanted.has('*')) state.subscribeAll(request.subscribe, this.#lists);
    else for (const name of wanted) if (name !== '*' && !state.names.has(name)) state.subscribe(name);
  }

  /** A client that goes on asks for all its types at once, one request behind the other. */
  #isExpected(typeUrl: string, nowMs: number): boolean {
    if (this.#clustersHeldAtMs === undefined || this.#types.has(typeUrl)) return false;
    if (nowMs - this.#clustersHeldAtMs >= this.#warmingLimitMs) return false;
    // Without listeners it uses no routes.
    const listeners = this.#types.get(LISTENER_TYPE);
    if (listeners !== undefined && listeners.held.size + listeners.upserts.size === 0) return false;
    const { resources, offer } = this.#planOf(typeUrl);
    return resources.size + offer.resources.size > 0;
  }

  #mayHaveSomething(state: TypeState): boolean {
    return state.hasUnsent || state.removals.size > 0 || state.typeUrl === VIRTUAL_HOST_TYPE;
  }

  #pick(state: TypeState, nowMs: number): Omit<Outstanding, 'nonce' | 'sentAtMs'> | undefined {
    const gates = {
      stateOf: (typeUrl: string) => this.#types.get(typeUrl),
      nowMs,
      warmingLimitMs: this.#warmingLimitMs,
      resumedAtMs: this.#resumedAtMs,
      isExpected: (typeUrl: string) => this.#isExpected(typeUrl, nowMs),
    };
    const isOpen = mayUpsert(state, gates);
    let upserts = isOpen ? this.#takeUpserts(state) : [];
    let isTrial = false;
    if (isOpen && upserts.length === 0) {
      upserts = state.nextTrial();
      isTrial = upserts.length > 0;
    }
    const removals = [...state.absent];
    if (state.removals.size > 0 && !isTrial && mayRemove(state, gates)) removals.push(...state.removals);
    const hasAsks = state.typeUrl === VIRTUAL_HOST_TYPE && isOpen && !this.#virtualHosts.isEmpty;
    // An Envoy that starts takes an empty answer for all that there is, and serves without the listeners that still wait.
    const owesAnswer = state.owesAnswer && isOpen;
    if (upserts.length === 0 && removals.length === 0 && !owesAnswer && !hasAsks) return undefined;
    return { upserts, removals, isTrial };
  }

  /** State of the world has no word for "removed" but for clusters and listeners, from which the client learns the rest. */
  #isWorthSending(state: TypeState, picked: { readonly upserts: readonly XdsResource[] }): boolean {
    if (FULL_STATE_TYPES.has(state.typeUrl)) return true;
    return picked.upserts.length > 0 || state.owesAnswer || state.absent.size > 0;
  }

  #takeUpserts(state: TypeState): readonly XdsResource[] {
    const all = state.upserts.shared;
    if (all !== undefined && this.#mayBeOne(state, all)) return this.#lists.of(all);
    const taken: XdsResource[] = [];
    let bytes = 0;
    for (const resource of state.upserts.values()) {
      bytes += wrappedBytes(resource);
      if (this.#mayDivide(state) && taken.length > 0 && bytes > this.#maxResponseBytes) break;
      taken.push(resource);
    }
    return taken;
  }

  /** Not virtual hosts: a domain that one of them has lost and another has gained must change hands in one response. */
  #mayDivide({ typeUrl }: TypeState): boolean {
    return this.#variant === 'delta' && typeUrl !== VIRTUAL_HOST_TYPE;
  }

  #mayBeOne(state: TypeState, all: ResourceMap): boolean {
    return !this.#mayDivide(state) || this.#lists.bytesOf(all) <= this.#maxResponseBytes;
  }

  #send(state: TypeState, picked: Omit<Outstanding, 'nonce' | 'sentAtMs'>, nowMs: number): SessionResponse | undefined {
    if (this.#variant === 'sotw' && !this.#isWorthSending(state, picked)) {
      state.recordRemoved(picked.removals);
      return this.next(nowMs);
    }
    const nonce = String(++this.#nonces);
    state.recordSent({ ...picked, nonce, sentAtMs: nowMs });
    // A changed cluster warms anew and waits for its endpoints, even when those did not change. (Endpoints are named as
    // their cluster.) https://github.com/envoyproxy/envoy/issues/13009
    if (state.typeUrl === CLUSTER_TYPE) {
      const endpoints = this.#types.get(ENDPOINT_TYPE);
      for (const cluster of picked.upserts) endpoints?.resend(cluster.name);
    }
    const { typeUrl } = state;
    if (typeUrl === VIRTUAL_HOST_TYPE) {
      const { plain, named, removed } = this.#virtualHosts.take(picked.upserts, picked.removals);
      return { typeUrl, nonce, resources: plain, named, removed };
    }
    if (typeUrl === ROUTE_TYPE && this.#types.has(VIRTUAL_HOST_TYPE)) {
      this.#virtualHosts.tablesSent(picked.upserts.map(({ name }) => name));
    }
    if (this.#variant === 'delta') return { typeUrl, nonce, resources: picked.upserts, removed: picked.removals };
    const resources = FULL_STATE_TYPES.has(typeUrl) ? state.heldResources(this.#lists) : picked.upserts;
    return { typeUrl, nonce, resources, removed: [] };
  }
}

/** The order on the stream; unknown types come last. */
function sendRank(typeUrl: string): number {
  const rank = SEND_ORDER.indexOf(typeUrl);
  return rank === -1 ? SEND_ORDER.length : rank;
}
