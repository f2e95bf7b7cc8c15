// SPDX-License-Identifier: Apache-2.0
import { changesBetween } from '../incremental/derived-map.ts';
import { LineageMemo } from '../incremental/lineage-memo.ts';
import type { RouteTableIntent, VirtualHostIntent } from '../intent/route-types.ts';
import type { XdsResource } from '../xds/types.ts';
import { TYPE_URL, unclaimedName } from './names.ts';
import type { ResourceCache, ResourcePart } from './resource-cache.ts';
import { encodeRouteConfiguration } from './route-configurations.ts';
import { buildVirtualHost } from './virtual-hosts.ts';

/** What of a table is no virtual host. */
export function contextOf({ otherwise }: RouteTableIntent): string {
  return otherwise === 'not-found' ? otherwise : unclaimedName(otherwise);
}

/** Route configurations put together from their virtual hosts, of which only those that have changed are serialized. */
export class RouteTables {
  readonly #cache: ResourceCache;
  readonly #parts = new LineageMemo<SortedParts>();

  constructor(cache: ResourceCache) {
    this.#cache = cache;
  }

  of(table: RouteTableIntent): XdsResource {
    const sorted = this.#parts.get(table.hosts, '', () => new SortedParts(this.#cache)).of(table.hosts);
    return this.#cache.assembled(
      table,
      { typeUrl: TYPE_URL.routes, name: table.name, context: contextOf(table) },
      sorted,
      () =>
        encodeRouteConfiguration(
          table,
          sorted.map(({ bytes }) => bytes),
        ),
    );
  }
}

/** The virtual hosts of a table in the order of their names. */
class SortedParts {
  readonly #cache: ResourceCache;
  #of: ReadonlyMap<string, VirtualHostIntent> | undefined;
  #names: string[] = [];
  #parts: ResourcePart[] = [];

  constructor(cache: ResourceCache) {
    this.#cache = cache;
  }

  of(hosts: ReadonlyMap<string, VirtualHostIntent>): readonly ResourcePart[] {
    const changed = changesBetween(this.#of, hosts);
    this.#of = hosts;
    if (changed === undefined) {
      this.#names = [...hosts.keys()].sort();
      this.#parts = this.#names.map((name) => this.#partOf(hosts.get(name)!));
    } else for (const name of changed) this.#place(name, hosts.get(name));
    return this.#parts;
  }

  #place(name: string, host: VirtualHostIntent | undefined): void {
    let [low, high] = [0, this.#names.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#names[middle]! < name) low = middle + 1;
      else high = middle;
    }
    const isThere = this.#names[low] === name;
    if (host === undefined) {
      if (!isThere) return;
      this.#names.splice(low, 1);
      this.#parts.splice(low, 1);
    } else {
      this.#names.splice(low, isThere ? 1 : 0, name);
      this.#parts.splice(low, isThere ? 1 : 0, this.#partOf(host));
    }
  }

  #partOf(host: VirtualHostIntent): ResourcePart {
    return this.#cache.part(host, buildVirtualHost);
  }
}
