// SPDX-License-Identifier: Apache-2.0
import { changesBetween } from '../../incremental/derived-map.ts';
import { LayeredMap } from '../../incremental/layered-map.ts';
import type { XdsResource } from '../types.ts';

export type ResourceMap = ReadonlyMap<string, XdsResource>;

/** Names that differ between two maps of one type: added, changed or gone. */
export type DiffMaps = (from: ResourceMap, to: ResourceMap) => readonly string[];

/** Compares two maps: layer by layer, by what is known of their changes, or else entry by entry. */
export function diffMaps(from: ResourceMap, to: ResourceMap): readonly string[] {
  return diffWith(from, to, diffMaps);
}

function diffWith(from: ResourceMap, to: ResourceMap, diffLayers: DiffMaps): readonly string[] {
  if (from === to) return NONE;
  if (from instanceof LayeredMap && to instanceof LayeredMap) {
    const [shared, own] = [diffLayers(from.shared, to.shared), diffLayers(from.own, to.own)];
    // A name may have moved from one layer to the other.
    if (own.length === 0 && !shared.some((name) => to.own.has(name))) return shared;
    return [...new Set([...shared, ...own])].filter((name) => from.get(name)?.version !== to.get(name)?.version);
  }
  const known = changesBetween(from, to);
  if (known !== undefined) return [...known].filter((name) => from.get(name)?.version !== to.get(name)?.version);
  const names: string[] = [];
  for (const [name, resource] of to) {
    const before = from.get(name);
    if (before !== resource && before?.version !== resource.version) names.push(name);
  }
  for (const name of from.keys()) if (!to.has(name)) names.push(name);
  return names;
}

const NONE: readonly string[] = Object.freeze([]);

/** diffMaps that remembers: streams that share their maps share the comparison. Maps must not change any more. */
export function rememberDiffs(): DiffMaps {
  const known = new WeakMap<ResourceMap, WeakMap<ResourceMap, readonly string[]>>();
  const diff: DiffMaps = (from, to) => {
    // Of proxies that share a layer each has another one of its own: there is nothing to remember of the two together.
    if (from instanceof LayeredMap && to instanceof LayeredMap) return diffWith(from, to, diff);
    let byTarget = known.get(from);
    if (byTarget === undefined) {
      byTarget = new WeakMap();
      known.set(from, byTarget);
    }
    let names = byTarget.get(to);
    if (names === undefined) {
      names = diffWith(from, to, diff);
      byTarget.set(to, names);
    }
    return names;
  };
  return diff;
}
