// SPDX-License-Identifier: Apache-2.0
// What a proxy that fetches parts of its configuration is pushed, and what it may ask for. Clusters are asked for by the
// routes of requests (ODCDS); what nothing asks for has to be pushed: clusters that listeners name, mirrors, and those
// whose addresses Envoy looks up itself, since one that waits for an answer of DNS would hold up all others.

import { create, toBinary } from '@bufbuild/protobuf';
import { Cluster_DiscoveryType, ClusterSchema } from '#gen/envoy/config/cluster/v3/cluster_pb.ts';
import type {
  DestinationIntent,
  OnDemand,
  OutboundIntent,
  RouteTableIntent,
  VirtualHostIntent,
} from '../intent/types.ts';
import type { Offer, XdsResource } from '../xds/types.ts';
import { DomainIndex } from './domain-index.ts';
import { duration } from './messages.ts';
import { destinationName, TYPE_URL } from './names.ts';
import type { ResourceCache } from './resource-cache.ts';
import { buildVirtualHost, encodeHostResource, encodeOnDemandTable, takesAllHosts } from './routes.ts';

export type ResourceMap = ReadonlyMap<string, XdsResource>;

const NOTHING: ResourceMap = new Map();

/** Route configurations without their virtual hosts. */
export function* onDemandTables(
  outbound: OutboundIntent,
  onDemand: OnDemand,
  cache: ResourceCache,
): Generator<XdsResource> {
  for (const { table } of outbound.httpPorts.values()) {
    const isAsked = onDemand === 'ALL_ON_DEMAND';
    const isTaken = takesAllHosts(table);
    const context = `${table.otherwise} ${onDemand} ${isTaken}`;
    yield cache.assembled(table, { typeUrl: TYPE_URL.routes, name: table.name, context }, [], () =>
      encodeOnDemandTable(table, isAsked),
    );
  }
}

/** A virtual host of a table, as a resource. */
export function hostResource(table: string, host: VirtualHostIntent, cache: ResourceCache): XdsResource {
  const name = hostResourceName({ name: table }, host);
  const part = cache.part(host, buildVirtualHost);
  return cache.assembled(host, { typeUrl: TYPE_URL.virtualHost, name, context: name }, [part], () =>
    encodeHostResource(host, name, part.bytes),
  );
}

export function hostResourceName(table: Pick<RouteTableIntent, 'name'>, host: VirtualHostIntent): string {
  return `${table.name}/${host.name}`;
}

/** The virtual hosts of a proxy's tables: which are pushed, and which are there for the asking. */
export function divideHosts(
  outbound: OutboundIntent,
  hosts: ResourceMap,
  onDemand: OnDemand,
): { pushed: ResourceMap; offer: Offer } {
  const tables = new Map([...outbound.httpPorts.values()].map(({ table }) => [table.name, table]));
  const indexes = new Map<string, DomainIndex>();
  const indexOf = (name: string): DomainIndex | undefined => {
    const table = tables.get(name);
    const index = indexes.get(name) ?? (table && new DomainIndex([...table.hosts.values()]));
    if (index !== undefined) indexes.set(name, index);
    return index;
  };
  const resolve = (asked: string): string | undefined => {
    const slash = asked.indexOf('/');
    if (slash === -1) return undefined;
    const table = tables.get(asked.slice(0, slash));
    const host = indexOf(asked.slice(0, slash))?.find(asked.slice(slash + 1));
    return table && host && hostResourceName(table, host);
  };
  if (onDemand === 'CLUSTERS_ON_DEMAND') return { pushed: hosts, offer: { resources: NOTHING, resolve } };
  const pushed = new Map<string, XdsResource>();
  for (const table of tables.values()) {
    // A wildcard that is loaded would take the requests of hosts that are not: Envoy asks only where no domain matches.
    for (const host of shadowable(table, indexOf)) {
      const name = hostResourceName(table, host);
      pushed.set(name, hosts.get(name)!);
    }
  }
  return { pushed, offer: { resources: hosts, resolve } };
}

function shadowable(
  table: RouteTableIntent,
  indexOf: (name: string) => DomainIndex | undefined,
): readonly VirtualHostIntent[] {
  const hasWildcards = [...table.hosts.values()].some((host) => host.domains.some((domain) => domain.includes('*')));
  return hasWildcards ? (indexOf(table.name)?.shadowable() ?? []) : [];
}

/** Names of the destinations of routes whose clusters no request asks for. */
export function unaskedDestinations(
  destinations: Iterable<DestinationIntent>,
  outbound: OutboundIntent,
): ReadonlySet<string> {
  const names = new Set<string>();
  for (const { table } of outbound.httpPorts.values()) {
    for (const host of table.hosts.values()) for (const name of mirrorsOf(host)) names.add(name);
  }
  for (const { ref, use, discovery } of destinations)
    if (discovery.kind === 'dns') names.add(destinationName(ref, use));
  return names;
}

function mirrorsOf(host: VirtualHostIntent): string[] {
  return host.routes.flatMap(({ action }) =>
    action.kind === 'forward' ? action.mirrors.map((mirror) => destinationName(mirror.to)) : [],
  );
}

/** Names of destinations that are in the resources themselves; those of listeners are asked for by nothing. */
export function destinationsNamedBy(resources: Iterable<XdsResource>): ReadonlySet<string> {
  return new Set([...resources].flatMap(({ value }) => destinationNamesIn(value)));
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
export function standInCluster(name: string, cache: ResourceCache): XdsResource | undefined {
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
