// SPDX-License-Identifier: Apache-2.0
// Which patches of EnvoyFilters a proxy's configuration gets, in the order in which they are done.
import type { EnvoyFilter } from '../api/envoy-filter.ts';
import { searchFor } from '../api/regex-search.ts';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import type { MeshProxy } from '../model/proxy.ts';
import type { MeshIndex } from '../model/snapshot.ts';
import type { PatchIntent } from './patch-types.ts';

const NONE: readonly PatchIntent[] = Object.freeze([]);

/** Proxies with the same patches have one array of them. */
export class PatchCache {
  readonly #filters = new IdentityMemo<readonly EnvoyFilter[]>();
  readonly #patches = new IdentityMemo<readonly PatchIntent[]>();
  readonly #lists = new IdentityMemo<readonly PatchIntent[]>();
  readonly #searches = new IdentityMemo<(text: string) => boolean>();

  of(index: MeshIndex, proxy: MeshProxy): readonly PatchIntent[] {
    if (index.envoyFilters.length === 0) return NONE;
    const { rootNamespace } = index.settings;
    const near = this.#filters.get([index.envoyFilters], `${proxy.namespace} ${rootNamespace}`, () =>
      filtersFor(index.envoyFilters, proxy.namespace, rootNamespace),
    );
    const patches = near.filter((filter) => selects(filter, proxy)).flatMap((filter) => this.#of(filter, proxy));
    return patches.length === 0 ? NONE : this.#lists.get(patches, '', () => Object.freeze(patches));
  }

  #of(filter: EnvoyFilter, proxy: MeshProxy): readonly PatchIntent[] {
    const all = this.#patches.get([filter], '', () => patchesOf(filter));
    return all.filter((_, i) => this.#isMeant(filter.spec.configPatches[i]!.match?.proxy, proxy));
  }

  #isMeant(match: ProxyMatch, { version = '', metadata = {} }: MeshProxy): boolean {
    if (match === undefined) return true;
    const { proxyVersion } = match;
    // Unlike Envoy's matches, this one asks for a part of the text.
    if (proxyVersion !== undefined) {
      const isFound = this.#searches.get([match], '', () => searchFor(proxyVersion));
      if (version === '' || !isFound(version)) return false;
    }
    return Object.entries(match.metadata).every(([key, value]) => metadata[key] === value);
  }
}

/** The mesh's before the namespace's own, within one priority; then by age. */
function filtersFor(all: readonly EnvoyFilter[], namespace: string, root: string): readonly EnvoyFilter[] {
  const isOwn = ({ ref }: EnvoyFilter) => (ref.namespace === root ? 0 : 1);
  return all
    .filter(({ ref }) => ref.namespace === root || ref.namespace === namespace)
    .toSorted((a, b) => a.spec.priority - b.spec.priority || isOwn(a) - isOwn(b));
}

function selects({ spec }: EnvoyFilter, { labels }: MeshProxy): boolean {
  return Object.entries(spec.workloadSelector?.labels ?? {}).every(([key, value]) => labels[key] === value);
}

type ProxyMatch = NonNullable<EnvoyFilter['spec']['configPatches'][number]['match']>['proxy'];

function patchesOf(filter: EnvoyFilter): readonly PatchIntent[] {
  return filter.spec.configPatches.map(({ applyTo, match, patch }, i): PatchIntent => {
    const isOrdered = ['LISTENER_FILTER', 'NETWORK_FILTER', 'HTTP_FILTER', 'HTTP_ROUTE'].includes(applyTo);
    const { operation } = patch;
    return {
      applyTo,
      context: match?.context ?? 'ANY',
      match: { listener: match?.listener, routeConfiguration: match?.routeConfiguration, cluster: match?.cluster },
      operation: operation.startsWith('INSERT') && !isOrdered ? 'ADD' : operation,
      value: patch.value,
      origin: { object: filter.ref, field: `spec.configPatches[${i}]` },
    };
  });
}
