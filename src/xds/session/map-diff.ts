// SPDX-License-Identifier: Apache-2.0
import type { XdsResource } from '../types.ts';

export type ResourceMap = ReadonlyMap<string, XdsResource>;

/** Names that differ between two maps of one type: added, changed or gone. */
export type DiffMaps = (from: ResourceMap, to: ResourceMap) => readonly string[];

/** Compares two maps entry by entry. */
export function diffMaps(from: ResourceMap, to: ResourceMap): readonly string[] {
  const names: string[] = [];
  for (const [name, resource] of to) {
    const before = from.get(name);
    if (before !== resource && before?.version !== resource.version) names.push(name);
  }
  for (const name of from.keys()) if (!to.has(name)) names.push(name);
  return names;
}

/** diffMaps that remembers: streams that share their maps share the comparison. Maps must not change any more. */
export function rememberDiffs(): DiffMaps {
  const known = new WeakMap<ResourceMap, WeakMap<ResourceMap, readonly string[]>>();
  return (from, to) => {
    let byTarget = known.get(from);
    if (byTarget === undefined) {
      byTarget = new WeakMap();
      known.set(from, byTarget);
    }
    let names = byTarget.get(to);
    if (names === undefined) {
      names = diffMaps(from, to);
      byTarget.set(to, names);
    }
    return names;
  };
}
