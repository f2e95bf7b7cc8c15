// SPDX-License-Identifier: Apache-2.0
import { IdentityMemo } from '../incremental/identity-memo.ts';
import { destinationKey } from '../intent/destination-state.ts';
import type { ProxyIntent } from '../intent/types.ts';
import type { Kept, KeptState } from '../xds/types.ts';
import type { ClusterResources } from './cluster-resources.ts';
import type { EndpointLookup, EndpointResources } from './endpoint-resources.ts';
import { destinationNamed, TYPE_URL } from './names.ts';

/** What a proxy goes on with though nothing that it is pushed names it any more: made when it is looked for. */
export class KeptResources {
  readonly #clusters: ClusterResources;
  readonly #endpoints: EndpointResources;
  readonly #ofClusters = new IdentityMemo<Kept>();
  readonly #states = new IdentityMemo<KeptState>();

  constructor(clusters: ClusterResources, endpoints: EndpointResources) {
    this.#clusters = clusters;
    this.#endpoints = endpoints;
  }

  of(nameable: ProxyIntent['destinations'], lookup: EndpointLookup): KeptState {
    const find = (name: string) => {
      const ref = destinationNamed(name);
      return ref && nameable.get(destinationKey({ use: 'proxy', ref }));
    };
    const cluster = this.#ofClusters.get([nameable], '', () => ({
      find: (name) => {
        const destination = find(name);
        return destination && this.#clusters.ofOne(destination);
      },
      all: once(() => this.#clusters.of(nameable)),
    }));
    return this.#states.get([nameable, lookup.endpoints, lookup.ways], lookup.scope, () => {
      const endpoints: Kept = {
        find: (name) => {
          const destination = find(name);
          if (destination?.discovery.kind !== 'endpoints') return undefined;
          return this.#endpoints.ofOne(destination, lookup.of(destination));
        },
        all: once(() => this.#endpoints.of(nameable, lookup)),
      };
      return new Map([
        [TYPE_URL.cluster, cluster],
        [TYPE_URL.endpoints, endpoints],
      ]);
    });
  }
}

/** A later version of what it is made of must not be followed back to this one. */
function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => (made ??= make());
}
