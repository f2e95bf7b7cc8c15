// SPDX-License-Identifier: Apache-2.0
import { hash } from 'node:crypto';
import { IdentityMemo } from '../incremental/identity-memo.ts';
import type { XdsResource } from '../xds/types.ts';
import { byName, type ResourceMap } from './resource-cache.ts';

/** Resources that a pod alone has, by what they are made of. */
export class OwnResources {
  readonly #maps = new IdentityMemo<ResourceMap>();
  readonly #known = new Map<string, WeakRef<ResourceMap>>();
  readonly #forget = new FinalizationRegistry<string>((key) => {
    if (this.#known.get(key)?.deref() === undefined) this.#known.delete(key);
  });

  /** `tag` tells apart what `parts` do not say and `make` uses. */
  of(parts: readonly object[], tag: string, make: () => Iterable<XdsResource>): ResourceMap {
    return this.#maps.get(parts, tag, () => this.#interned(byName(make())));
  }

  /** Pods that are copies of one another have equal maps: one map for all of them. */
  #interned(map: ResourceMap): ResourceMap {
    const key = hash('sha1', [...map.values()].map(({ name, version }) => `${name} ${version}`).join('\n'));
    const known = this.#known.get(key)?.deref();
    if (known !== undefined) return known;
    this.#known.set(key, new WeakRef(map));
    this.#forget.register(map, key);
    return map;
  }
}
