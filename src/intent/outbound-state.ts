// SPDX-License-Identifier: Apache-2.0
// What the sidecars that share a view do with outgoing connections, kept up host by host: a change costs the hosts that it
// concerns, however many there are.
import { isDeepStrictEqual } from 'node:util';
import type { Destination } from '../api/destination.ts';
import { covers } from '../api/names.ts';
import { VersionedMap } from '../incremental/versioned-map.ts';
import { qualifyHost } from '../model/hosts.ts';
import { listeningPlace } from '../model/sidecar-scope.ts';
import type { MeshService, ServicePort } from '../model/snapshot.ts';
import { aliasTarget, compareServices, type ProxyView } from '../model/view.ts';
import { DomainClaims } from './domain-claims.ts';
import { HostChanges } from './host-changes.ts';
import { buildPlace, type Claim, claimsOfService, type Place } from './outbound.ts';
import type { UnknownTraffic, VirtualHostIntent } from './route-types.ts';
import { strangersSecurity } from './security.ts';
import type { OutboundHttpPortIntent, OutboundIntent, StrangersIntent, TcpPortIntent } from './types.ts';
import {
  buildMadeUpHost,
  buildVirtualHost,
  isRoutedByPort,
  madeUpBeside,
  madeUpPorts,
  otherNames,
  type VirtualHostCache,
} from './virtual-hosts.ts';

interface OutboundPolicy {
  readonly mode: string;
  readonly egressProxy?: Destination | undefined;
}

/** What one host adds to the whole, before it meets the others. */
interface HostPart {
  /** undefined: no service, but a rule that may make up the host. */
  readonly service: MeshService | undefined;
  /** The service whose requests it takes: itself, unless it is another name of one. */
  readonly target: MeshService | undefined;
  /** By address and port. */
  readonly claims: ReadonlyMap<string, readonly Claim[]>;
  /** Ports in whose route tables it is, and what it would be called there besides its own name. */
  readonly routed: readonly number[];
  readonly names: readonly string[];
  /** Without a service: ports in whose tables a rule may make it up. */
  readonly madeUp: readonly number[];
}

/** The hosts that claim a place. */
interface Claimants {
  /** Those that want something of their own there: which of them has which connections depends on who else does. */
  readonly chained: Set<string>;
  /** Those whose requests go by the table of the port, as nearly all do: one of them or a thousand is the same. */
  readonly routed: Set<string>;
}

const NOTHING: HostPart = {
  service: undefined,
  target: undefined,
  claims: new Map(),
  routed: [],
  names: [],
  madeUp: [],
};

export class OutboundState {
  readonly #cache: VirtualHostCache;
  readonly #changes: HostChanges;
  readonly #parts = new Map<string, HostPart>();
  readonly #domains = new Map<number, DomainClaims>();
  readonly #tables = new Map<number, VersionedMap<string, VirtualHostIntent>>();
  readonly #claimants = new Map<string, Claimants>();
  readonly #places = new Map<string, Place>();
  /** What was taken over and may be otherwise here, until it has been looked at. */
  #due: { readonly hosts: ReadonlySet<string>; readonly ports: ReadonlySet<number> } | undefined;
  #outbound: OutboundIntent | undefined;
  #of: ProxyView | undefined;

  /** `sibling`: one that `isLike` the view; what concerns the clients of neither namespace is taken over from it. */
  constructor(view: ProxyView, cache: VirtualHostCache, sibling?: OutboundState) {
    this.#cache = cache;
    this.#changes = new HostChanges(view, sibling === undefined ? undefined : sibling.#changes);
    if (sibling !== undefined) this.#takeOver(sibling, view);
  }

  /** It is of clients that see the very same as those of the view, from whichever namespace. */
  isLike({ anywhere, scope }: ProxyView): boolean {
    const of = this.#of;
    return of !== undefined && of.anywhere === anywhere && of.scope === undefined && scope === undefined;
  }

  #takeOver(sibling: OutboundState, view: ProxyView): void {
    const [here, there] = [view.namespace, sibling.#of!.namespace];
    const hosts = sibling.#changes.betweenClients(here, there);
    for (const [host, part] of sibling.#parts) {
      this.#parts.set(host, part);
      // Among several services for one name or address, a client's own go before others.
      const owner = part.service?.namespace;
      if (owner === here || owner === there) hosts.add(host);
    }
    for (const [key, place] of sibling.#places) this.#places.set(key, place);
    for (const [port, domains] of sibling.#domains) this.#domains.set(port, this.#newDomains(domains));
    for (const [port, table] of sibling.#tables) this.#tables.set(port, table.copy());
    for (const [place, { chained, routed }] of sibling.#claimants) {
      this.#claimants.set(place, { chained: new Set(chained), routed: new Set(routed) });
    }
    const { httpPorts, tcpPorts, ...rest } = sibling.#outbound!;
    this.#outbound = { ...rest, httpPorts: copyOf(httpPorts), tcpPorts: copyOf(tcpPorts) };
    this.#due = { hosts, ports: new Set(this.#tables.keys()) };
  }

  /** The intent of a view with the same key as the first. */
  of(view: ProxyView): OutboundIntent {
    if (this.#outbound !== undefined && view === this.#of) return this.#outbound;
    this.#of = view;
    const changed = this.#changes.advance(view);
    for (const host of this.#due?.hosts ?? []) changed.add(host);
    const places = new Set<string>();
    const hosts = new Map<number, Set<string>>();
    for (const host of changed) this.#replace(host, places, hosts);
    const tables = this.#updateTables(hosts).union(this.#due?.ports ?? new Set<number>());
    this.#due = undefined;
    this.#outbound = this.#join(view, places, tables);
    return this.#outbound;
  }

  /** Puts the host's part as it is now in the place of what it was; notes the places and tables that it is or was in. */
  #replace(host: string, places: Set<string>, hosts: Map<number, Set<string>>): void {
    const before = this.#parts.get(host) ?? NOTHING;
    const after = this.#changes.compute(host, (view) => partOf(view, host));
    if (after === NOTHING) this.#parts.delete(host);
    else this.#parts.set(host, after);
    for (const key of new Set([...before.claims.keys(), ...after.claims.keys()])) {
      if (this.#claim(key, host, after.claims.get(key))) places.add(key);
    }
    for (const port of new Set([...before.routed, ...after.routed])) {
      this.#domainsOf(port).set(host, after.routed.includes(port) ? after.names : undefined);
      noteHost(hosts, port, host);
    }
    for (const port of [...before.madeUp, ...after.madeUp]) noteHost(hosts, port, host);
  }

  /** True when the place may be another now. */
  #claim(key: string, host: string, claims: readonly Claim[] | undefined): boolean {
    const claimants = this.#claimants.get(key) ?? { chained: new Set<string>(), routed: new Set<string>() };
    this.#claimants.set(key, claimants);
    const { chained, routed } = claimants;
    const [wasChained, wasRouted] = [chained.delete(host), routed.size > 0];
    routed.delete(host);
    const isChained = claims?.some(({ chain, byName }) => chain !== undefined || byName) ?? false;
    if (isChained) chained.add(host);
    else if (claims !== undefined) routed.add(host);
    return wasChained || isChained || wasRouted !== routed.size > 0;
  }

  #domainsOf(port: number): DomainClaims {
    const known = this.#domains.get(port);
    if (known !== undefined) return known;
    const made = this.#newDomains();
    this.#domains.set(port, made);
    return made;
  }

  #newDomains(from?: DomainClaims): DomainClaims {
    return new DomainClaims((a, b) => this.#compare(a, b), from);
  }

  #compare(a: string, b: string): number {
    const [left, right] = [this.#parts.get(a)?.service, this.#parts.get(b)?.service];
    return compareServices(this.#changes.view)(left!, right!);
  }

  /** Ports whose tables have changed. */
  #updateTables(hosts: ReadonlyMap<number, Set<string>>): Set<number> {
    const changed = new Set<number>();
    for (const [port, concerned] of hosts) {
      const domains = this.#domainsOf(port);
      for (const host of domains.settle()) concerned.add(host);
      const before = this.#tables.get(port) ?? new VersionedMap();
      const after = before.with([...concerned].map((host) => [host, this.#buildHost(host, port, domains)] as const));
      if (after === before) continue;
      this.#tables.set(port, after);
      changed.add(port);
    }
    return changed;
  }

  #buildHost(host: string, port: number, domains: DomainClaims): VirtualHostIntent | undefined {
    const { service, target, madeUp } = this.#parts.get(host) ?? NOTHING;
    if (domains.has(host) && service !== undefined && target !== undefined) {
      const cache = this.#cache;
      const names = domains.domainsOf(host);
      return this.#changes.extend(host, (view) =>
        buildVirtualHost(view, { service: target, alias: service, port, domains: names }, cache),
      );
    }
    if (!madeUp.includes(port) || domains.ownerOf(host) !== undefined || this.#isServed(host, port)) return undefined;
    return this.#changes.extend(host, (view) => buildMadeUpHost(view, host, port));
  }

  /** Some service has the host at the port, or a part of the host. */
  #isServed(host: string, port: number): boolean {
    const { serviceOf } = this.#changes.view;
    if (!host.startsWith('*')) return serviceOf.get(host)?.ports.some(({ number }) => number === port) === true;
    return [...serviceOf.keys()].some((name) => covers(host, name));
  }

  #join(view: ProxyView, places: ReadonlySet<string>, tables: ReadonlySet<number>): OutboundIntent {
    const before = this.#outbound;
    const unknown = unknownTraffic(view, before?.unknown);
    const detectionTimeoutMs = view.mesh.protocolDetectionTimeout;
    const strangers = unknown === 'by-name' ? strangersOf(view, before?.strangers) : undefined;
    const isSame =
      before?.unknown === unknown && before.strangers === strangers && before.detectionTimeoutMs === detectionTimeoutMs;
    if (isSame && places.size + tables.size === 0) return before;
    const touched = new Set(places);
    for (const key of places) this.#settlePlace(key);
    // A place without an address goes by the table of its port; and what others may do there, the mesh says to all.
    for (const port of tables)
      for (const address of ['', listeningPlace(view.scope, port)?.address ?? '']) touched.add(placeKey(address, port));
    if (before === undefined || before.unknown !== unknown) for (const key of this.#places.keys()) touched.add(key);
    const http = [...touched].map((key) => [key, this.#httpPort(key, unknown)] as const);
    const tcp = [...touched].map((key) => [key, this.#tcpPort(key)] as const);
    return {
      unknown,
      ...(strangers && { strangers }),
      detectionTimeoutMs,
      httpPorts: ((before?.httpPorts as VersionedMap<string, OutboundHttpPortIntent>) ?? new VersionedMap()).with(http),
      tcpPorts: ((before?.tcpPorts as VersionedMap<string, TcpPortIntent>) ?? new VersionedMap()).with(tcp),
    };
  }

  #settlePlace(key: string): void {
    const { chained, routed } = this.#claimants.get(key)!;
    const [oneRouted] = routed;
    const hosts = [...chained].sort((a, b) => this.#compare(a, b));
    if (oneRouted !== undefined) hosts.push(oneRouted);
    const claims = hosts.flatMap((host) => this.#parts.get(host)?.claims.get(key) ?? []);
    const [first] = claims;
    if (first === undefined) {
      this.#claimants.delete(key);
      this.#places.delete(key);
    } else this.#places.set(key, buildPlace(first.address, first.port, claims));
  }

  #httpPort(key: string, unknown: OutboundIntent['unknown']): OutboundHttpPortIntent | undefined {
    const place = this.#places.get(key);
    if (place?.http === undefined) return undefined;
    const { http, byName: own, ...rest } = place;
    const byName = own ?? (unknown === 'by-name' ? this.#changes.view.vantage.families : undefined);
    const { port } = place;
    if (http === 'port') {
      const hosts = this.#tables.get(port) ?? new VersionedMap();
      return { ...rest, table: { name: String(port), hosts, otherwise: unknown, ...(byName && { byName }) } };
    }
    // The place of a service that has addresses of its own: whatever host a request names, it came for this service.
    const host = this.#changes.extend(http.hostname, (view) =>
      buildVirtualHost(view, { service: http, alias: http, port, domains: ['*'] }, this.#cache),
    );
    const table = { name: host.name, hosts: new Map([[http.hostname, host]]), otherwise: 'not-found' as const };
    return { ...rest, table };
  }

  #tcpPort(key: string): TcpPortIntent | undefined {
    const place = this.#places.get(key);
    if (place === undefined || place.http !== undefined) return undefined;
    const { address, port, chains, open } = place;
    return { address, port, chains, ...(open && { open }) };
  }
}

function copyOf<V>(map: ReadonlyMap<string, V>): VersionedMap<string, V> {
  return (map as VersionedMap<string, V>).copy();
}

/** `before`, if it is the same. */
function unknownTraffic({ scope, mesh, settings }: ProxyView, before: UnknownTraffic | undefined): UnknownTraffic {
  const { mode, egressProxy }: OutboundPolicy = scope?.sidecar.spec.outboundTrafficPolicy ?? mesh.outboundTrafficPolicy;
  if (mode === 'ALLOW_ANY_DYNAMIC_DNS') return 'by-name';
  if (mode !== 'ALLOW_ANY') return 'refuse';
  if (scope === undefined || egressProxy === undefined) return 'pass-through';
  const host = qualifyHost(egressProxy.host, scope.sidecar.ref.namespace, settings.dnsDomain);
  const to = { host, port: egressProxy.port!.number, subset: egressProxy.subset ?? '' };
  return isDeepStrictEqual(before, to) ? before! : to;
}

/** `before`, if it is the same. */
function strangersOf({ mesh, settings, vantage }: ProxyView, before: StrangersIntent | undefined): StrangersIntent {
  const object = { apiVersion: 'v1', kind: 'ConfigMap', namespace: settings.rootNamespace, name: 'istio' };
  const security = strangersSecurity(mesh, { object, field: 'data.mesh.outboundTrafficPolicy.tls' });
  const strangers = { security, connectTimeoutMs: mesh.connectTimeout, families: vantage.families };
  return isDeepStrictEqual(before, strangers) ? before! : strangers;
}

function partOf(view: ProxyView, host: string): HostPart {
  const service = view.serviceOf.get(host);
  if (service === undefined) {
    const madeUp = madeUpPorts(view, host);
    return madeUp.length === 0 ? NOTHING : { ...NOTHING, madeUp };
  }
  if (service.unlisted) return NOTHING;
  const target = aliasTarget(view, service) ?? service;
  // The DNS leads who dials another name to the service's own addresses.
  const claimed = target === service ? claimsOfService(view, service) : [];
  const claims = Map.groupBy(claimed, ({ address, port }) => placeKey(address, port));
  const isRouted = (port: ServicePort) =>
    isRoutedByPort(view, target, port) ||
    (port.protocol === 'auto' && listeningPlace(view.scope, port.number) !== undefined);
  const routed = target.ports.filter(isRouted).map(({ number }) => number);
  return {
    service,
    target,
    claims,
    routed: [...new Set(routed)],
    names: routed.length === 0 ? [] : otherNames(view, service),
    madeUp: madeUpBeside(view, service),
  };
}

function placeKey(address: string, port: number): string {
  return `${address}_${port}`;
}

function noteHost(hosts: Map<number, Set<string>>, port: number, host: string): void {
  const noted = hosts.get(port) ?? new Set<string>();
  noted.add(host);
  hosts.set(port, noted);
}
