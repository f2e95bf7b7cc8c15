// SPDX-License-Identifier: Apache-2.0
// What a proxy that fetches parts of its configuration is pushed, and what it may ask for. Clusters are asked for by the
// routes of requests (ODCDS); what nothing asks for has to be pushed: clusters that listeners name, mirrors, and those
// whose addresses Envoy looks up itself, since one that waits for an answer of DNS would hold up all others.

import { create, toBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import { DerivedMap } from '../incremental/derived-map.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { LayeredMap, type Layers } from '../incremental/layered-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import type { DestinationIntent } from '../intent/destination-types.ts';
import type { RouteTableIntent, VirtualHostIntent } from '../intent/route-types.ts';
import type { OnDemand, OutboundIntent, ProxyIntent } from '../intent/types.ts';
import type { Offer, XdsResource } from '../xds/types.ts';
import { DomainIndex } from './domain-index.ts';
import { duration } from './messages.ts';
import { destinationName, TYPE_URL } from './names.ts';
import type { ResourceCache, ResourceMap } from './resource-cache.ts';
import { encodeOnDemandTable } from './route-configurations.ts';
import { contextOf } from './route-tables.ts';
import { buildVirtualHost, encodeHostResource } from './virtual-hosts.ts';

const NOTHING: ResourceMap = new Map();

/** What a compiler keeps of this from one version of its intents to the next. */
export class OnDemandParts {
  readonly #cache: ResourceCache;
  readonly #layers: Layers<XdsResource>;
  /** Per table: its hosts as resources, those with wildcards, and what hosts mirror to. */
  readonly #hosts = new LineageMemo<DerivedMap<VirtualHostIntent, XdsResource>>();
  readonly #wildcards = new LineageMemo<DerivedMap<VirtualHostIntent, VirtualHostIntent>>();
  readonly #mirrors = new LineageMemo<DerivedMap<VirtualHostIntent, string[]>>();
  readonly #lookedUp = new LineageMemo<DerivedMap<DestinationIntent, string>>();
  readonly #named = new LineageMemo<DerivedMap<XdsResource, string[]>>();
  readonly #divided = new IdentityMemo<{ pushed: ResourceMap; offer: Offer }>();
  readonly #tables = new IdentityMemo<ResourceMap>();
  /** Of clusters, then of listeners' ports. */
  readonly #pushed = new LineageMemo<LineageMemo<{ last: ResourceMap }>>();
  readonly #offers = new WeakMap<ResourceMap, Offer>();

  constructor(cache: ResourceCache, layers: Layers<XdsResource>) {
    this.#cache = cache;
    this.#layers = layers;
  }

  /** Route configurations without their virtual hosts; those of one service's own address are whole. */
  tables(outbound: OutboundIntent, onDemand: OnDemand, whole: (table: RouteTableIntent) => XdsResource): ResourceMap {
    return this.#tables.get([outbound.httpPorts], onDemand, () => {
      const tables = [...outbound.httpPorts.values()].map(({ table }) =>
        isOwnTable(table) ? whole(table) : this.#table(table, onDemand),
      );
      return new Map(tables.map((resource) => [resource.name, resource]));
    });
  }

  #table(table: RouteTableIntent, onDemand: OnDemand): XdsResource {
    // Two virtual hosts of one domain are refused.
    const isTaken = [...this.#wildcardsOf(table).values()].some((host) => host.domains.includes('*'));
    const options = { isTaken, isAsked: onDemand === 'ALL_ON_DEMAND' };
    const context = `${contextOf(table)} ${onDemand} ${isTaken}`;
    return this.#cache.assembled(table, { typeUrl: TYPE_URL.routes, name: table.name, context }, [], () =>
      encodeOnDemandTable(table, options),
    );
  }

  /** The virtual hosts of a proxy's tables: which are pushed, and which are there for the asking. */
  hosts(outbound: OutboundIntent, onDemand: OnDemand): { pushed: ResourceMap; offer: Offer } {
    return this.#divided.get([outbound.httpPorts], onDemand, () => {
      const tables = [...outbound.httpPorts.values()].map(({ table }) => table).filter((table) => !isOwnTable(table));
      const all = tables.reduce((sum, table) => this.#layers.of(sum, this.#resourcesOf(table)), NOTHING);
      const directory = new HostDirectory(tables);
      const resolve = (asked: string): string | undefined => directory.resolve(asked);
      if (onDemand === 'CLUSTERS_ON_DEMAND') return { pushed: all, offer: { resources: NOTHING, resolve } };
      // A wildcard that is loaded would take the requests of hosts that are not: Envoy asks only where no domain matches.
      const shadowed = tables
        .filter((table) => this.#wildcardsOf(table).size > 0)
        .flatMap((table) => directory.shadowable(table));
      const pushed = new Map(shadowed.flatMap((name) => [[name, all.get(name)!] as const]));
      return { pushed: pushed.size === 0 ? NOTHING : pushed, offer: { resources: all, resolve } };
    });
  }

  #resourcesOf(table: RouteTableIntent): ResourceMap {
    const make = (host: VirtualHostIntent) => hostResource(table, host, this.#cache);
    return this.#hosts.get(table.hosts, table.name, () => new DerivedMap(make, ({ name }) => name)).of(table.hosts);
  }

  #wildcardsOf(table: RouteTableIntent): ReadonlyMap<string, VirtualHostIntent> {
    const make = (host: VirtualHostIntent) => (host.domains.some((d) => d.includes('*')) ? host : undefined);
    return this.#wildcards.get(table.hosts, '', () => new DerivedMap(make)).of(table.hosts);
  }

  /** Clusters that no request asks for. The same map as before while they are the same. */
  pushedClusters(
    { destinations, outbound }: { destinations: ProxyIntent['destinations']; outbound: OutboundIntent },
    listeners: ResourceMap,
    clusters: ResourceMap,
  ): ResourceMap {
    const lookedUp = ({ ref, use, discovery }: DestinationIntent) =>
      discovery.kind === 'dns' ? destinationName(ref, use) : undefined;
    const names = new Set([
      ...this.#lookedUp
        .get(destinations, '', () => new DerivedMap(lookedUp))
        .of(destinations)
        .values(),
      ...[...outbound.httpPorts.values()].flatMap(({ table }) => this.#mirrorsOf(table)),
      ...this.#namedBy(listeners),
    ]);
    const found = new Map([...names].flatMap((name) => this.#entry(name, clusters)));
    const known = this.#pushed
      .get(clusters, '', () => new LineageMemo())
      .get(outbound.httpPorts, '', () => ({ last: NOTHING }));
    if (!equal(known.last, found)) known.last = found;
    return known.last;
  }

  #entry(name: string, clusters: ResourceMap): [string, XdsResource][] {
    const cluster = clusters.get(name);
    return cluster === undefined ? [] : [[name, cluster]];
  }

  #mirrorsOf({ hosts }: RouteTableIntent): string[] {
    const make = (host: VirtualHostIntent) => {
      const names = mirrorsOf(host);
      return names.length === 0 ? undefined : names;
    };
    return [
      ...this.#mirrors
        .get(hosts, '', () => new DerivedMap(make))
        .of(hosts)
        .values(),
    ].flat();
  }

  /** Names of destinations that are in the resources themselves; those of listeners are asked for by nothing. */
  #namedBy(resources: ResourceMap): string[] {
    if (resources instanceof LayeredMap) {
      return [...this.#namedBy(resources.shared as ResourceMap), ...this.#namedBy(resources.own as ResourceMap)];
    }
    const make = ({ value }: XdsResource) => destinationNamesIn(value);
    return [
      ...this.#named
        .get(resources, '', () => new DerivedMap(make))
        .of(resources)
        .values(),
    ].flat();
  }

  clusterOffer(clusters: ResourceMap): Offer {
    const standIn = (name: string) => standInCluster(name, this.#cache);
    const known = this.#offers.get(clusters) ?? { resources: clusters, standIn };
    this.#offers.set(clusters, known);
    return known;
  }
}

/** Of a service that has addresses of its own: whatever host a request names there, it came for this service. */
function isOwnTable({ hosts }: RouteTableIntent): boolean {
  const [only] = hosts.values();
  return hosts.size === 1 && only !== undefined && only.domains.length === 1 && only.domains[0] === '*';
}

function equal(a: ResourceMap, b: ResourceMap): boolean {
  return a.size === b.size && [...a].every(([name, resource]) => b.get(name) === resource);
}

/** A virtual host of a table, as a resource. */
function hostResource(table: RouteTableIntent, host: VirtualHostIntent, cache: ResourceCache): XdsResource {
  const name = hostResourceName(table, host);
  const part = cache.part(host, buildVirtualHost);
  return cache.assembled(host, { typeUrl: TYPE_URL.virtualHost, name, context: name }, [part], () =>
    encodeHostResource(host, name, part.bytes),
  );
}

export function hostResourceName(table: Pick<RouteTableIntent, 'name'>, host: VirtualHostIntent): string {
  return `${table.name}/${host.name}`;
}

/** Whom a name in a request means, in tables that are looked up only when a proxy asks. */
class HostDirectory {
  readonly #tables: ReadonlyMap<string, RouteTableIntent>;
  readonly #indexes = new Map<string, DomainIndex>();

  constructor(tables: readonly RouteTableIntent[]) {
    this.#tables = new Map(tables.map((table) => [table.name, table]));
  }

  /** `asked`: `TABLE/host`. The name of a resource. */
  resolve(asked: string): string | undefined {
    const slash = asked.indexOf('/');
    const table = slash === -1 ? undefined : this.#tables.get(asked.slice(0, slash));
    const host = table && this.#indexOf(table).find(asked.slice(slash + 1));
    return table && host && hostResourceName(table, host);
  }

  /** Names of resources with a domain that another one's wildcard matches as well. */
  shadowable(table: RouteTableIntent): string[] {
    return this.#indexOf(table)
      .shadowable()
      .map((host) => hostResourceName(table, host));
  }

  #indexOf(table: RouteTableIntent): DomainIndex {
    const index = this.#indexes.get(table.name) ?? new DomainIndex([...table.hosts.values()]);
    this.#indexes.set(table.name, index);
    return index;
  }
}

function mirrorsOf(host: VirtualHostIntent): string[] {
  return host.routes.flatMap(({ action }) =>
    action.kind === 'forward' ? action.mirrors.map((mirror) => destinationName(mirror.to)) : [],
  );
}

const DESTINATION = Buffer.from('outbound');

/**
 * Names of destinations that a message holds, wherever: TCP proxies, tracers, loggers, and what an EnvoyFilter put there. In
 * protobuf a text stands behind its length, so names are found without knowing the messages; something else that looks
 * like one is the name of no cluster, and harmless.
 */
export function destinationNamesIn(message: Uint8Array): string[] {
  const bytes = Buffer.from(message.buffer, message.byteOffset, message.length);
  const names: string[] = [];
  for (let at = bytes.indexOf(DESTINATION); at !== -1; at = bytes.indexOf(DESTINATION, at + 1)) {
    const last = bytes[at - 1] ?? 0;
    // A varint of two bytes ends in a small one: a name of 128 bytes or more.
    const length = last < DESTINATION.length ? last * 128 + ((bytes[at - 2] ?? 0) & 127) : last;
    if (length >= DESTINATION.length) names.push(bytes.toString('utf8', at, at + length));
  }
  return names;
}

/**
 * In place of a cluster that there is not: it has no hosts, so that requests fail at once. Without any, Envoy would let each
 * of them wait for one.
 */
function standInCluster(name: string, cache: ResourceCache): XdsResource | undefined {
  if (!name.startsWith('outbound')) return undefined;
  return cache.assembled({}, { typeUrl: TYPE_URL.cluster, name, context: 'stand-in' }, [], () =>
    toBinary(
      ClusterSchema,
      create(ClusterSchema, {
        name,
        connectTimeout: duration(10_000),
        clusterDiscoveryType: { case: 'type', value: Cluster_DiscoveryType.STATIC },
      }),
    ),
  );
}
