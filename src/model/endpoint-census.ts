// SPDX-License-Identifier: Apache-2.0
// On which networks endpoints are, kept up service by service, so that nobody has to go through all of them.
import { isDeepStrictEqual } from 'node:util';
import { EXTERNAL_NETWORK } from '../api/mesh-networks.ts';
import type { Steps } from '../incremental/steps.ts';
import { ANY_NETWORK, type OccupiedNetwork } from './networks.ts';
import type { EndpointSet, ServiceKey } from './snapshot.ts';

export class EndpointCensus {
  readonly #meshed = new Map<string, { readonly place: OccupiedNetwork; count: number }>();
  readonly #unmeshed = new Map<ServiceKey, readonly OccupiedNetwork[]>();
  #occupied: readonly OccupiedNetwork[] = [];
  #bare: ReadonlyMap<ServiceKey, readonly OccupiedNetwork[]> = new Map();

  /** Where endpoints with a sidecar are, sorted. */
  get occupied(): readonly OccupiedNetwork[] {
    return this.#occupied;
  }

  /** Of each service, where it has endpoints without a sidecar. */
  get unmeshed(): ReadonlyMap<ServiceKey, readonly OccupiedNetwork[]> {
    return this.#bare;
  }

  /** Both keep their identity while they stay as they are. */
  *update(changes: Iterable<readonly [ServiceKey, EndpointSet | undefined, EndpointSet | undefined]>): Steps<void> {
    let moved = false;
    let bared = false;
    for (const [key, before, after] of changes) {
      if (before === after) continue;
      moved = this.#count(before, -1) || moved;
      moved = this.#count(after, 1) || moved;
      bared = this.#note(key, after) || bared;
      yield;
    }
    if (moved) {
      const next = [...this.#meshed.values()]
        .map(({ place }) => place)
        .sort((a, b) => (placeKey(a) < placeKey(b) ? -1 : 1));
      if (!isDeepStrictEqual(next, this.#occupied)) this.#occupied = next;
    }
    if (bared) this.#bare = new Map(this.#unmeshed);
  }

  #count(set: EndpointSet = [], step: 1 | -1): boolean {
    let moved = false;
    for (const { network, cluster, meshed } of set) {
      if (!meshed || isNowhere(network)) continue;
      const key = placeKey({ network, cluster });
      const entry = this.#meshed.get(key) ?? { place: { network, cluster }, count: 0 };
      entry.count += step;
      if (entry.count === 0) this.#meshed.delete(key);
      else this.#meshed.set(key, entry);
      moved ||= entry.count <= 1;
    }
    return moved;
  }

  #note(key: ServiceKey, set: EndpointSet = []): boolean {
    const places = new Map<string, OccupiedNetwork>();
    for (const { network, cluster, meshed } of set) {
      if (!meshed && !isNowhere(network)) places.set(placeKey({ network, cluster }), { network, cluster });
    }
    const next = [...places].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, place]) => place);
    if (isDeepStrictEqual(next, this.#unmeshed.get(key) ?? [])) return false;
    if (next.length === 0) this.#unmeshed.delete(key);
    else this.#unmeshed.set(key, next);
    return true;
  }
}

function isNowhere(network: string): boolean {
  return network === ANY_NETWORK || network === EXTERNAL_NETWORK;
}

function placeKey({ network, cluster }: OccupiedNetwork): string {
  return `${network}\0${cluster}`;
}
