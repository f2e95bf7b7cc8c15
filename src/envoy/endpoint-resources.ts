// SPDX-License-Identifier: Apache-2.0
import { ClusterLoadAssignmentSchema } from '#gen/envoy/config/endpoint/v3/endpoint_pb.ts';
import { changesBetween, DerivedMap } from '../incremental/derived-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import { RecentValues } from '../incremental/recent-values.ts';
import type { DestinationIntent, EndpointIntent } from '../intent/destination-types.ts';
import type { ProxyIntent } from '../intent/types.ts';
import type { XdsResource } from '../xds/types.ts';
import { assignmentContext, buildLoadAssignment } from './endpoints.ts';
import { destinationName, TYPE_URL } from './names.ts';
import type { ResourceCache, ResourceMap } from './resource-cache.ts';

const ENDPOINTS = {
  typeUrl: TYPE_URL.endpoints,
  schema: ClusterLoadAssignmentSchema,
  name: 'clusterName' as const,
};
/** Ordered by where the proxy is, they are made for each place, and often alike. */
const ENDPOINTS_BY_PLACE = { ...ENDPOINTS, isRepeated: true as const };

export interface EndpointLookup {
  /** All endpoints, by service. */
  readonly endpoints: ReadonlyMap<string, unknown>;
  /** The same object while the ways to endpoints of other networks are the same. */
  readonly ways: object;
  /** Equal for proxies that reach the same endpoints in the same way. */
  readonly scope: string;
  /** Asked for every destination whose endpoints come from us; equal answers must be one array. */
  of(destination: DestinationIntent): readonly EndpointIntent[];
}

/** Load assignments: of the destinations of proxies, with the endpoints that there are. */
export class EndpointResources {
  readonly #cache: ResourceCache;
  /** Of destinations, and all their later versions: by the way to endpoints. */
  readonly #derived = new LineageMemo<RecentValues<ReachedEndpoints>>();

  constructor(cache: ResourceCache) {
    this.#cache = cache;
  }

  of(destinations: ProxyIntent['destinations'], lookup: EndpointLookup): ResourceMap {
    const scopes = this.#derived.get(destinations, '', () => new RecentValues());
    const build = (destination: DestinationIntent, endpoints: readonly EndpointIntent[]) =>
      this.ofOne(destination, endpoints);
    const { resources, isNew } = scopes.get(lookup.scope, () => new ReachedEndpoints(build)).of(destinations, lookup);
    if (isNew) scopes.turn();
    return resources;
  }

  ofOne(destination: DestinationIntent, endpoints: readonly EndpointIntent[]): XdsResource {
    const name = destinationName(destination.ref, destination.use);
    const { locality } = destination;
    const kind = locality === undefined ? ENDPOINTS : ENDPOINTS_BY_PLACE;
    return this.#cache.get(endpoints, `${name} ${assignmentContext(locality)}`, kind, () =>
      buildLoadAssignment(name, endpoints, locality),
    );
  }
}

/** Load assignments of proxies with the same destinations that reach them in the same way, kept up service by service. */
class ReachedEndpoints {
  readonly #derived: DerivedMap<DestinationIntent, XdsResource>;
  /** Service -> destinations with endpoints of it, or that had some. */
  readonly #byService = new Map<string, Set<string>>();
  #lookup: EndpointLookup | undefined;
  #of: ProxyIntent['destinations'] | undefined;
  #resources: ResourceMap = new Map();

  constructor(build: (destination: DestinationIntent, endpoints: readonly EndpointIntent[]) => XdsResource) {
    this.#derived = new DerivedMap(
      (destination, key) => {
        const { discovery } = destination;
        if (discovery.kind !== 'endpoints') return undefined;
        this.#note(discovery.service, key);
        if (discovery.spare !== undefined) this.#note(discovery.spare.service, key);
        return build(destination, this.#lookup!.of(destination));
      },
      ({ name }) => name,
    );
  }

  of(destinations: ProxyIntent['destinations'], lookup: EndpointLookup) {
    const before = this.#lookup;
    const isNew = destinations !== this.#of || before?.endpoints !== lookup.endpoints || before.ways !== lookup.ways;
    if (!isNew) return { resources: this.#resources, isNew };
    this.#of = destinations;
    this.#lookup = lookup;
    this.#resources = this.#derived.of(destinations);
    if (before !== undefined) this.#resources = this.#derived.again(this.#moved(before, lookup, destinations));
    return { resources: this.#resources, isNew };
  }

  #note(service: string, key: string): void {
    const keys = this.#byService.get(service) ?? new Set<string>();
    this.#byService.set(service, keys.add(key));
  }

  /** Destinations whose endpoints may be others now. */
  #moved(before: EndpointLookup, now: EndpointLookup, all: ProxyIntent['destinations']): Iterable<string> {
    const services = before.ways === now.ways ? changesBetween(before.endpoints, now.endpoints) : undefined;
    if (services === undefined) return all.keys();
    const moved: string[] = [];
    for (const service of services) {
      const keys = this.#byService.get(service);
      if (keys !== undefined) moved.push(...keys);
      if (!now.endpoints.has(service) && !before.endpoints.has(service)) this.#byService.delete(service);
    }
    return moved;
  }
}
