// SPDX-License-Identifier: Apache-2.0
import { changesBetween, DerivedMap } from '../incremental/derived-map.ts';
import type { DestinationIntent, EndpointIntent } from '../intent/destination-types.ts';
import type { ProxyIntent } from '../intent/types.ts';
import type { XdsResource } from '../xds/types.ts';
import type { EndpointLookup } from './compile.ts';

/** Load assignments of proxies with the same destinations that reach them in the same way, kept up service by service. */
export class EndpointResources {
  readonly #derived: DerivedMap<DestinationIntent, XdsResource>;
  /** Service -> destinations with endpoints of it, or that had some. */
  readonly #byService = new Map<string, Set<string>>();
  #lookup: EndpointLookup | undefined;
  #of: ProxyIntent['destinations'] | undefined;
  #resources: ReadonlyMap<string, XdsResource> = new Map();

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
