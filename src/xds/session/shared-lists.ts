// SPDX-License-Identifier: Apache-2.0
import type { XdsResource } from '../types.ts';
import type { ResourceMap } from './map-diff.ts';

/** Lists that streams of one mesh have in common: made once, and one object for all of them. */
export class SharedLists {
  readonly #names = new WeakMap<
    readonly string[],
    WeakMap<ResourceMap, { readonly all: ReadonlySet<string> | undefined }>
  >();
  readonly #resources = new WeakMap<ResourceMap, readonly XdsResource[]>();
  readonly #bytes = new WeakMap<ResourceMap, number>();

  /** All resources of a map. */
  of(resources: ResourceMap): readonly XdsResource[] {
    const known = this.#resources.get(resources) ?? [...resources.values()];
    this.#resources.set(resources, known);
    return known;
  }

  /** What they take in a response, at most. */
  bytesOf(resources: ResourceMap): number {
    const known = this.#bytes.get(resources) ?? this.of(resources).reduce((sum, each) => sum + wrappedBytes(each), 0);
    this.#bytes.set(resources, known);
    return known;
  }

  /**
   * The names of all resources, if the list names them and no others: sidecars ask for the endpoints of all their clusters,
   * each in a request with the same thousands of names.
   */
  allOf(list: readonly string[], resources: ResourceMap): ReadonlySet<string> | undefined {
    if (list.length !== resources.size) return undefined;
    const byResources =
      this.#names.get(list) ?? new WeakMap<ResourceMap, { readonly all: ReadonlySet<string> | undefined }>();
    this.#names.set(list, byResources);
    const known = byResources.get(resources);
    if (known !== undefined) return known.all;
    const names = new Set<string>();
    for (const name of list) {
      const own = resources.get(name)?.name;
      if (own !== undefined) names.add(own);
    }
    const all = names.size === resources.size ? names : undefined;
    byResources.set(resources, { all });
    return all;
  }
}

/** Name, version and type URL around each resource, at most. */
const WRAPPER_BYTES = 128;

export function wrappedBytes({ value, name }: XdsResource): number {
  return value.length + name.length + WRAPPER_BYTES;
}
